package data

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
)

// changedSubwords returns a vocabulary with other special tokens and settings in
// its file: the special tokens have the ids from 0 on.
func changedSubwords(t *testing.T, special []string, settings map[string]any) *bpe.Tokenizer {
	t.Helper()
	tok, err := bpe.Train(context.Background(), slices.Values([]string{"the gate and the cell"}), bpe.TrainConfig{VocabSize: 256 + len(special), SpecialTokens: special})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := tok.Save(&text); err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	if err := json.Unmarshal([]byte(text.String()), &all); err != nil {
		t.Fatal(err)
	}
	for name, value := range settings {
		all[name] = value
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	if tok, err = bpe.Load(strings.NewReader(string(raw))); err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestTextEnd(t *testing.T) {
	roberta := map[string]any{"post_processor": map[string]any{"type": "RobertaProcessing", "cls": []any{"<x>", 0}, "sep": []any{"<y>", 1}}}
	for name, c := range map[string]struct {
		tok  Tokenizer
		want int
	}{
		"GPT-2":            {changedSubwords(t, []string{"<x>", bpe.EndOfText}, nil), 1},
		"Llama 3":          {changedSubwords(t, []string{"<|begin_of_text|>", "<|end_of_text|>"}, nil), 1},
		"DeepSeek":         {changedSubwords(t, []string{"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"}, nil), 1},
		"the first of two": {changedSubwords(t, []string{"</s>", bpe.EndOfText}, nil), 1},
		"by its place":     {changedSubwords(t, []string{"<x>", "<y>"}, roberta), 1},
		"of bytes":         {changedSubwords(t, []string{"<x>"}, nil), 0x1e},
		"bytes":            {Bytes{}, 0x1e},
	} {
		id, ok := TextEnd(c.tok)
		if tok, subwords := c.tok.(*bpe.Tokenizer); subwords && c.want == 0x1e {
			c.want, _ = tok.ID(Separator)
		}
		if id != c.want || !ok {
			t.Errorf("%s: %d, %v, want %d", name, id, ok, c.want)
		}
	}
	chars, err := NewChars("ab", 1)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := TextEnd(chars); ok {
		t.Errorf("the unknown character %d ends texts", id)
	}
}

// TestDocumentsBeginOnce with what the template puts before a text, from memory
// and from a cache on disk.
func TestDocumentsBeginOnce(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a": "the gate", "b": "<s>the cell", "c": "and"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	docs, err := Load(0, dir)
	if err != nil {
		t.Fatal(err)
	}
	tok := changedSubwords(t, []string{bpe.EndOfText, "<s>"}, nil)
	for name, c := range map[string]struct {
		first int
		want  string
		bytes int // of the targets
	}{
		"a token of its own":        {1, "<s>the gate<|endoftext|><s>the cell<|endoftext|><s>and", 8 + 1 + 8 + 1 + 3},
		"the end of the one before": {0, "<|endoftext|>the gate<|endoftext|><s>the cell<|endoftext|>and", 8 + 1 + 1 + 8 + 1 + 3},
	} {
		begun, err := tok.BeginWith(c.first)
		if err != nil {
			t.Fatal(err)
		}
		ids, size, err := EncodeIDs(context.Background(), begun, docs.Pieces(begun))
		if got := begun.Decode(ids); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
		further, _, err := EncodeFurther(context.Background(), begun, docs.Pieces(begun))
		if err != nil || !slices.Equal(further, ids[1:]) {
			t.Errorf("%s, further: %q, %v", name, begun.Decode(further), err)
		}
		files, err := Find(dir)
		if err != nil {
			t.Fatal(err)
		}
		cache, err := CacheTokens(context.Background(), t.TempDir(), begun, files, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		if got := begun.Decode(Head(cache, 1000)); got != c.want || cache.Size != size {
			t.Errorf("%s, on disk: %q, %+v, want %q, %+v", name, got, cache.Size, c.want, size)
		}
		if bytes, _ := NewLengths(begun, ids, size.Bytes).Of(ids[1:]); bytes != float64(c.bytes) {
			t.Errorf("%s: %v bytes to predict, want %d", name, bytes, c.bytes)
		}
	}
}

func TestBegin(t *testing.T) {
	for _, c := range []struct{ beginning, ids, want []int }{
		{nil, []int{3}, []int{3}},
		{[]int{1}, []int{3}, []int{1, 3}},
		{[]int{1}, []int{1, 3}, []int{1, 3}},
		{[]int{1, 2}, []int{1, 3}, []int{1, 2, 1, 3}},
		{[]int{1, 2}, []int{1, 2}, []int{1, 2}},
		{[]int{1}, nil, []int{1}},
	} {
		if got := Begin(c.beginning, c.ids); !slices.Equal(got, c.want) {
			t.Errorf("%v before %v: %v, want %v", c.beginning, c.ids, got, c.want)
		}
	}
}

// TestStartsAtTheFirstToken of documents that begin with what ends the one before.
func TestStartsAtTheFirstToken(t *testing.T) {
	windows, err := WindowsOf(IDs{0, 5, 6, 0, 7, 0, 8, 9, 1}, 2, 4, 0)
	if err != nil {
		t.Fatal(err)
	}
	for b := range windows.All() {
		want := []bool{true, false, false, true, false, true, false, false}
		if got := b.MarkStartsAt(0).Starts; !slices.Equal(got, want) {
			t.Errorf("inputs %v: starts %v, want %v", b.Inputs, got, want)
		}
	}
}

// TestByteOrderMarksAreNoText in files read whole and piece by piece, and in a
// saved vocabulary.
func TestByteOrderMarksAreNoText(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("long text ", 2*pieceBytes/10)
	for name, text := range map[string]string{"a.txt": "first", "b.txt": long, "c.txt": "sec\ufeffond", "d.txt": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("\ufeff"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := strings.Join([]string{"first", long, "sec\ufeffond"}, Separator)
	docs, err := Load(len(want), dir)
	if err != nil || docs.Text() != want || len(docs.Skipped) != 1 {
		t.Errorf("%d bytes, %d skipped, %v; want %d and 1", len(docs.Text()), len(docs.Skipped), err, len(want))
	}
	files, err := Find(dir)
	if err != nil || files.Bytes != int64(len(want)-2*len(Separator)) || len(files.Skipped) != 1 {
		t.Errorf("%+v, %v; want %d bytes", files, err, len(want))
	}
	ids, size, err := EncodeIDs(context.Background(), Bytes{}, files.Pieces(Bytes{}))
	if err != nil || (Bytes{}).Decode(ids) != want || size.Bytes != len(want) {
		t.Errorf("%d ids, %+v, %v; want %d", len(ids), size, err, len(want))
	}
	if _, err := Load(0, filepath.Join(dir, "d.txt")); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("a file of a mark alone: %v", err)
	}
	tok := changedSubwords(t, []string{bpe.EndOfText}, nil)
	for name, tok := range map[string]Tokenizer{"bytes": Bytes{}, "bpe": tok} {
		var text strings.Builder
		text.WriteString("\ufeff")
		if err := SaveTokenizer(&text, tok); err != nil {
			t.Fatal(err)
		}
		if back, err := LoadTokenizer(strings.NewReader(text.String())); err != nil || back.Size() != tok.Size() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEncodeTellsOfARegexWithoutEnd rather than give other tokens.
func TestEncodeTellsOfARegexWithoutEnd(t *testing.T) {
	tok := changedSubwords(t, []string{bpe.EndOfText}, map[string]any{"pre_tokenizer": map[string]any{"type": "Sequence", "pretokenizers": []any{
		map[string]any{"type": "Split", "pattern": map[string]any{"Regex": "(?:x+x+)+y"}, "behavior": "Isolated", "invert": false},
		map[string]any{"type": "ByteLevel", "use_regex": false},
	}}})
	docs := &Corpus{Documents: []Document{{Text: "good"}, {Text: strings.Repeat("x", 60)}}}
	if _, _, err := EncodeIDs(context.Background(), tok, docs.Pieces(tok)); err == nil || !strings.Contains(err.Error(), "takes too long") {
		t.Errorf("%v", err)
	}
}
