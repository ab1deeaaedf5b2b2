package bpe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

func TestSavesAsTheLibrary(t *testing.T) {
	text := readFile(t, "trained.json")
	tok := mustLoad(t, text)
	testutil.Equal(t, "saved file", strings.TrimSpace(saved(t, tok)), strings.TrimSpace(text))
}

func TestSaveAndLoad(t *testing.T) {
	refs, toks := references(t)
	for i, tok := range toks {
		text := saved(t, tok)
		back := mustLoad(t, text)
		testutil.Equal(t, "saved again", saved(t, back), text)
		for _, c := range refs[i].Cases {
			testutil.Equal(t, "ids of "+c.Text, back.EncodeWithSpecial(c.Text), c.Special)
		}
	}
}

func TestMergesAsLines(t *testing.T) {
	f := parseFile(t, readFile(t, "trained.json"))
	var lines []string
	for _, pair := range f["model"].(map[string]any)["merges"].([]any) {
		lines = append(lines, fmt.Sprintf("%s %s", pair.([]any)...))
	}
	tok := mustLoad(t, f.changed(t, file{"model.merges": lines}))
	testutil.Equal(t, "saved file", saved(t, tok), saved(t, mustLoad(t, f.changed(t, nil))))
}

// The type of the model, and what is null, may be missing.
func TestOldFile(t *testing.T) {
	f := parseFile(t, readFile(t, "trained.json"))
	want := saved(t, mustLoad(t, f.changed(t, nil)))
	for _, key := range []string{"version", "truncation", "padding", "normalizer", "post_processor"} {
		delete(f, key)
	}
	m := f["model"].(map[string]any)
	for _, key := range []string{"type", "dropout", "unk_token", "byte_fallback", "ignore_merges", "fuse_unk"} {
		delete(m, key)
	}
	m["continuing_subword_prefix"], m["end_of_word_suffix"] = "", ""
	testutil.Equal(t, "saved file", saved(t, mustLoad(t, f.changed(t, nil))), want)
}

// Of a merge that is listed twice, the last place counts.
func TestMergeTwice(t *testing.T) {
	f := bytesFile(t)
	vocab := f["model"].(map[string]any)["vocab"].(map[string]any)
	vocab["ab"], vocab["bc"] = 256, 257
	tok := mustLoad(t, f.changed(t, file{"model.merges": []string{"a b", "b c", "a b"}}))
	testutil.Equal(t, "ids", tok.Encode("abc"), []int{64, 257})
	testutil.Equal(t, "merges", len(tok.rules), 2)
}

// An id that the file leaves out has no token.
func TestGapInVocab(t *testing.T) {
	f := bytesFile(t)
	f["model"].(map[string]any)["vocab"].(map[string]any)["ab"] = 260
	tok := mustLoad(t, f.changed(t, nil))
	testutil.Equal(t, "size", tok.Size(), 261)
	testutil.Equal(t, "text", tok.Decode([]int{260, 258}), "ab\uFFFD")
	testutil.Equal(t, "saved again", saved(t, mustLoad(t, saved(t, tok))), saved(t, tok))
}

func TestTemplate(t *testing.T) {
	special := file{"<s>": file{"id": "<s>", "ids": []int{256}}, "<e>": file{"id": "<e>", "ids": []int{257, 257}}}
	item := func(kind, id string) file { return file{kind: file{"id": id, "type_id": 0}} }
	inner := file{"type": "TemplateProcessing", "special_tokens": special,
		"single": []file{item("SpecialToken", "<s>"), item("Sequence", "A"), item("SpecialToken", "<e>")}}
	outer := file{"type": "TemplateProcessing", "special_tokens": special,
		"single": []file{item("SpecialToken", "<e>"), item("Sequence", "A"), item("SpecialToken", "<s>")}}
	tok := mustLoad(t, bytesFile(t).changed(t, file{
		"added_tokens":   []file{added(256, "<s>", "special"), added(257, "<e>", "special")},
		"post_processor": file{"type": "Sequence", "processors": []file{{"type": "ByteLevel"}, inner, outer}},
	}))
	testutil.Equal(t, "without", tok.Encode("a"), []int{64})
	testutil.Equal(t, "with", tok.EncodeWithSpecial("a"), []int{257, 257, 256, 64, 257, 257, 256})
	testutil.Equal(t, "of nothing", tok.EncodeWithSpecial(""), []int{257, 257, 256, 257, 257, 256})
}

func TestLoadRefuses(t *testing.T) {
	f := bytesFile(t)
	vocab := func(change func(map[string]any)) map[string]any {
		v := bytesFile(t)["model"].(map[string]any)["vocab"].(map[string]any)
		change(v)
		return v
	}
	split := func(pattern file, behavior string) file {
		return file{"type": "Sequence", "pretokenizers": []file{{"type": "Split", "pattern": pattern, "behavior": behavior, "invert": false}, {"type": "ByteLevel"}}}
	}
	nested := func(depth int) any {
		inner := file{"type": "Sequence"}
		for range depth {
			inner = file{"type": "Sequence", "pretokenizers": []file{inner}}
		}
		return inner
	}
	template := func(single ...file) file { return file{"type": "TemplateProcessing", "single": single} }
	text := file{"Sequence": file{"id": "A"}}
	for _, c := range []struct {
		changes file
		want    string
	}{
		{file{"version": "2.0"}, `version "2.0"`},
		{file{"model.type": "WordPiece"}, `a model of type "WordPiece" is not supported`},
		{file{"model.type": "Unigram", "model.vocab": []any{[]any{"a", -1.5}}}, `a model of type "Unigram" is not supported`},
		{file{"model.dropout": 0.1}, "dropout 0.1"},
		{file{"model.unk_token": "<unk>"}, `unk_token "<unk>" is not in the vocabulary`},
		{file{"model.continuing_subword_prefix": "##"}, `continuing_subword_prefix "##"`},
		{file{"model.end_of_word_suffix": "</w>"}, `end_of_word_suffix "</w>"`},
		{file{"model.byte_fallback": true, "model.vocab": vocab(func(v map[string]any) { delete(v, "ÿ") })}, "byte_fallback is not supported for a vocabulary that has no token for the byte 0xff"},
		{file{"model.vocab": vocab(func(v map[string]any) { delete(v, "À"); delete(v, "Ġ") })}, "no token for the byte 0x20"},
		{file{"model.vocab": vocab(func(v map[string]any) { delete(v, "Ġ") })}, "no token for the byte 0x20 ('Ġ' in the file)"},
		{file{"model.vocab": vocab(func(v map[string]any) { v["ab"] = 64 })}, `tokens "a" and "ab" both have the id 64`},
		{file{"model.vocab": vocab(func(v map[string]any) { v["ab"] = 600 })}, `token "ab" has the id 600 in a vocabulary of 257`},
		{file{"model.vocab": vocab(func(v map[string]any) { v["ab"] = int64(4294967295) })}, "the id 4294967295"},
		{file{"model.vocab": vocab(func(v map[string]any) { v["ab"] = -1 })}, "number -1"},
		{file{"model.vocab": vocab(func(v map[string]any) { v[""] = 256 })}, "token 256 is the empty text"},
		{file{"model.vocab": nil}, "no token for the byte 0x00"},
		{file{"model.merges": []string{"a b"}}, `merge 0 of "a" and "b" makes a token that is not in the vocabulary`},
		{file{"model.merges": []string{"a xy"}}, `merge 0 has the token "xy"`},
		{file{"model.merges": []string{"ab"}}, `merge "ab": it must be two tokens`},
		{file{"model.merges": []string{"a b c"}}, `merge "a b c": it must be two tokens`},
		{file{"model.merges": [][]string{{"a", "b", "c"}}}, "has 3 tokens"},
		{file{"model.merges": []int{7}}, "read tokenizer.json"},
		{file{"normalizer": file{"type": "Nmt"}}, `a normalizer of type "Nmt"`},
		{file{"normalizer": file{"type": "Sequence", "normalizers": []file{{"type": "NFC"}, {"type": "Precompiled"}}}}, `"Precompiled"`},
		{file{"normalizer": file{"type": "Replace", "content": "x"}}, "a Replace has no pattern"},
		{file{"normalizer": file{"type": "Replace", "pattern": file{"Regex": "("}, "content": "x"}}, "a Replace by the regex"},
		{file{"normalizer": file{"type": "StripAccents"}, "added_tokens": []file{added(256, "\u0301", "normalized")}}, "nothing is left of it"},
		{file{"normalizer": 7}, "normalizer"},
		{file{"pre_tokenizer": nil}, `a pre-tokenizer of type "null"`},
		{file{"pre_tokenizer": file{"type": "Metaspace"}}, `a pre-tokenizer of type "Metaspace"`},
		{file{"pre_tokenizer": file{"type": "Whitespace"}}, "does not end with its only ByteLevel"},
		{file{"pre_tokenizer": file{"type": "CharDelimiterSplit", "delimiter": "ab"}}, `the delimiter "ab"`},
		{file{"pre_tokenizer": file{"type": "Digits"}}, "does not end with its only ByteLevel"},
		{file{"pre_tokenizer": file{"type": "Sequence", "pretokenizers": []file{{"type": "ByteLevel"}, {"type": "Digits"}}}}, "does not end with its only ByteLevel"},
		{file{"pre_tokenizer": file{"type": "Sequence", "pretokenizers": []file{{"type": "ByteLevel"}, {"type": "ByteLevel"}}}}, "does not end with its only ByteLevel"},
		{file{"pre_tokenizer": nested(maxSequences + 1)}, "pre_tokenizer: a Sequence in more than 8 others"},
		{file{"pre_tokenizer": nested(maxSequences)}, "no ByteLevel"},
		{file{"pre_tokenizer": file{"type": "Sequence"}}, "no ByteLevel"},
		{file{"pre_tokenizer": split(file{"Regex": `\s+(`}, "Isolated")}, "a Split by the regex"},
		{file{"pre_tokenizer": split(file{"String": ""}, "Isolated")}, "a Split has no pattern"},
		{file{"pre_tokenizer": split(file{"String": "a", "Regex": "a"}, "Isolated")}, "a Regex and a String"},
		{file{"pre_tokenizer": split(file{"Regex": gpt2Regex}, "Kept")}, `the behavior "Kept"`},
		{file{"post_processor": file{"type": "RobertaProcessing"}}, "lacks its cls or its sep"},
		{file{"post_processor": file{"type": "RobertaProcessing", "cls": []any{"<s>", 999}, "sep": []any{"a", 64}}}, "the id 999"},
		{file{"post_processor": file{"type": "RobertaProcessing", "cls": []any{"<s>"}, "sep": []any{"a", 64}}}, "a list of a token and its id"},
		{file{"post_processor": file{"type": "Other"}}, `a post-processor of type "Other"`},
		{file{"post_processor": template()}, "has the text 0 times"},
		{file{"post_processor": template(text, text)}, "has the text 2 times"},
		{file{"post_processor": template(text, file{"SpecialToken": file{"id": "<s>"}})}, `no ids for the special token "<s>"`},
		{file{"post_processor": template(text, file{"Sequence": file{"id": "B"}})}, "no SpecialToken and no Sequence A"},
		{file{"post_processor": file{"type": "TemplateProcessing", "special_tokens": file{"<s>": file{"ids": []int{999}}}, "single": []file{text, {"SpecialToken": file{"id": "<s>"}}}}}, "the id 999"},
		{file{"decoder": file{"type": "Metaspace"}}, `a decoder of type "Metaspace"`},
		{file{"added_tokens": []file{added(256, "")}}, "is empty"},
		{file{"added_tokens": []file{added(256, "x1"), added(257, "x1")}}, "there twice"},
		{file{"added_tokens": []file{added(300, "x1")}}, `"x1" has the id 300, and by its place it must have 256`},
		{file{"added_tokens": []file{added(256, "a")}}, `"a" has the id 256, and by its place it must have 64`},
		{file{"added_tokens": []file{added(165, "é")}}, `"é" is spelled like the token of the bytes "\xe9"`},
		{file{"model.vocab": vocab(func(v map[string]any) { v["ab"] = 257 }), "added_tokens": []file{added(257, "x1")}}, `"x1" and token "ab" both have the id 257`},
	} {
		tok, err := Load(strings.NewReader(f.changed(t, c.changes)))
		if tok != nil {
			t.Errorf("a tokenizer and the error %v", err)
		}
		testutil.WantError(t, err, "read tokenizer.json: ", c.want)
	}
}

func TestLoadErrors(t *testing.T) {
	for _, text := range []string{"", "hello", "[]", `{"model":`, `{"model":{"vocab":[]}}`, strings.Repeat("[", 1<<20)} {
		_, err := Load(strings.NewReader(text))
		testutil.WantError(t, err, "read tokenizer.json: ")
	}
	_, err := Load(strings.NewReader("{}"))
	testutil.WantError(t, err, "no token for the byte")
	_, err = Load(iotest.ErrReader(errors.New("disk gone")))
	testutil.WantError(t, err, "read tokenizer.json", "disk gone")
	_, err = Load(io.MultiReader(strings.NewReader("{"), endless{}))
	testutil.WantError(t, err, "more than 67108864 bytes")
}

// endless is a reader of spaces without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestSaveErrors(t *testing.T) {
	r, w := io.Pipe()
	r.CloseWithError(errors.New("disk full"))
	testutil.WantError(t, mustLoad(t, readFile(t, "trained.json")).Save(w), "write tokenizer.json", "disk full")
}

// FuzzLoad reads a text as a file, or as a part of one.
func FuzzLoad(f *testing.F) {
	keys := []string{"", "version", "truncation", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder", "model", "model.vocab", "model.merges", "model.type", "model.dropout"}
	whole := bytesFile(f)
	whole["model"].(map[string]any)["vocab"].(map[string]any)["ab"] = 256
	f.Add(whole.changed(f, nil), uint8(0))
	for key, text := range map[int]string{
		0: "[[[[", 1: `"1.0"`, 2: "{}", 4: `{"type":"Sequence","normalizers":[{"type":"NFC"}]}`,
		3:  `[{"id":257,"content":"<x>","single_word":true,"lstrip":true,"rstrip":true,"normalized":true,"special":true}]`,
		5:  `{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},{"type":"ByteLevel","add_prefix_space":true}]}`,
		6:  `{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"a"}},{"Sequence":{"id":"A"}}],"special_tokens":{"a":{"ids":[64]}}}`,
		7:  `{"type":"ByteLevel"}`,
		8:  `{"type":"BPE","vocab":{"a":4294967295},"merges":["a b",["a","b"]]}`,
		9:  `{"a":1,"b":-1,"c":1e9}`,
		10: `["a b",["a","b"]]`,
		11: `"BPE"`,
		12: "0.0",
	} {
		f.Add(text, uint8(key))
	}
	f.Fuzz(func(t *testing.T, text string, which uint8) {
		if key := keys[int(which)%len(keys)]; key != "" {
			if !json.Valid([]byte(text)) {
				return
			}
			text = whole.changed(t, file{key: json.RawMessage(text)})
		}
		tok, err := Load(strings.NewReader(text))
		if err != nil {
			testutil.WantError(t, err, "read tokenizer.json: ")
			return
		}
		if tok.Size() > len(text) {
			t.Fatalf("%d ids out of %d bytes", tok.Size(), len(text))
		}
		again := saved(t, tok)
		back := mustLoad(t, again)
		testutil.Equal(t, "saved again", saved(t, back), again)
		testutil.Equal(t, "ids", back.EncodeWithSpecial(oddText), tok.EncodeWithSpecial(oddText))
		if back := tok.Decode(tok.EncodeOrdinary("a1 b\xff")); !strings.HasSuffix(back, "b\xff") {
			t.Fatalf("read back %q", back)
		}
	})
}
