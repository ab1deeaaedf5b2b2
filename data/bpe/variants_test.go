package bpe

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// variants are testdata/variants.json: settings that replace those of a file, and
// what the library makes of texts under each of them.
type variants struct {
	Texts    []string  `json:"texts"`
	Variants []variant `json:"variants"`
}

type variant struct {
	Name     string   `json:"name"`
	File     string   `json:"file"`
	Settings file     `json:"settings"`
	Special  []int    `json:"special"` // ids of "The hat." with special tokens
	IDs      []string `json:"ids"`     // of each text, without special tokens
}

func readVariants(t testing.TB) (v variants) {
	t.Helper()
	if err := json.Unmarshal([]byte(readFile(t, "variants.json")), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// idList writes ids as the file has them.
func idList(ids []int) string { return strings.Trim(fmt.Sprint(ids), "[]") }

// TestVariantsEncodeAsTheLibrary has each kind of normalizer, pre-tokenizer,
// post-processor, decoder and model that is supported, and each construct of the
// patterns' syntax.
func TestVariantsEncodeAsTheLibrary(t *testing.T) {
	all := readVariants(t)
	for _, v := range all.Variants {
		t.Run(v.Name, func(t *testing.T) {
			tok, err := Load(strings.NewReader(parseFile(t, readFile(t, v.File)).changed(t, v.Settings)))
			if err != nil {
				t.Fatal(err)
			}
			again := mustLoad(t, saved(t, tok))
			for i, text := range all.Texts {
				ids, err := tok.TryEncode(text)
				if err != nil {
					t.Fatal(err)
				}
				if got := idList(ids); got != v.IDs[i] {
					t.Errorf("ids of %q:\n got %s %q\nwant %s", text, got, tokensOf(tok, ids), v.IDs[i])
				}
				testutil.Equal(t, "ids after saving", idList(again.Encode(text)), v.IDs[i])
				testutil.Equal(t, "ids in parallel", idList(tok.encodeParallel(text, 2, 8)), v.IDs[i])
			}
			testutil.Equal(t, "ids with special tokens", tok.EncodeWithSpecial("The hat."), v.Special)
		})
	}
}

func tokensOf(tok *Tokenizer, ids []int) []string {
	tokens := make([]string, len(ids))
	for i, id := range ids {
		tokens[i], _ = tok.Token(id)
	}
	return tokens
}

// TestCutsOfVariants: a text that is cut where Cut says has the ids of the whole.
func TestCutsOfVariants(t *testing.T) {
	all := readVariants(t)
	cut := 0
	for _, v := range all.Variants {
		tok := mustLoad(t, parseFile(t, readFile(t, v.File)).changed(t, v.Settings))
		for _, text := range all.Texts {
			for n := 1; n < len(text); n++ {
				at := tok.Cut(text, n)
				if at < len(text) {
					cut++
				}
				testutil.Equal(t, fmt.Sprintf("%s: %q cut at %d", v.Name, text, at), append(tok.Encode(text[:at]), tok.Encode(text[at:])...), tok.Encode(text))
			}
		}
	}
	if cut == 0 {
		t.Error("no text was cut")
	}
}

// TestBytesWithoutTokens: bytes that are never in UTF-8, where the vocabulary lacks
// them, are as U+FFFD, or the unknown token.
func TestBytesWithoutTokens(t *testing.T) {
	f := parseFile(t, readFile(t, "utf8bytes.json"))
	tok := mustLoad(t, f.changed(t, nil))
	for _, text := range []string{"a\xffb", "\xc0\xc1\xf5", "the \xfe\xff", "\xff" + EndOfText, strings.Repeat("a\xff", longWord)} {
		bad := strings.NewReplacer("\xff", "\ufffd", "\xfe", "\ufffd", "\xc0", "\ufffd", "\xc1", "\ufffd", "\xf5", "\ufffd")
		testutil.Equal(t, fmt.Sprintf("ids of %q", text), tok.Encode(text), tok.Encode(bad.Replace(text)))
	}
	unknown := mustLoad(t, f.changed(t, file{"model.unk_token": "!"}))
	testutil.Equal(t, "unknown", tokensOf(unknown, unknown.Encode("a\xff\xff")), []string{"a", "!", "!"})
	fused := mustLoad(t, f.changed(t, file{"model.unk_token": "!", "model.fuse_unk": true}))
	testutil.Equal(t, "fused", tokensOf(fused, fused.Encode("a\xff\xff")), []string{"a", "!"})
}

// TestRegexThatBacktracksWithoutEnd gives an error in time, keeps all of the text,
// and leaves nothing behind for the next text.
func TestRegexThatBacktracksWithoutEnd(t *testing.T) {
	split := func(regex string) file {
		return file{"pre_tokenizer": file{"type": "Sequence", "pretokenizers": []file{
			{"type": "Split", "pattern": file{"Regex": regex}, "behavior": "Removed", "invert": true}, {"type": "ByteLevel", "use_regex": false}}}}
	}
	for _, c := range []struct{ name, regex, text string }{
		{"one match", `(?:x+x+)+y`, strings.Repeat("x", 40)},
		{"all matches", `x*y|x`, strings.Repeat("x", 30_000)},
	} {
		tok := mustLoad(t, parseFile(t, readFile(t, "trained.json")).changed(t, split(c.regex)))
		re := tok.steps[0].split.regex(t, c.regex)
		re.limit, re.engine.MatchTimeout = 50*time.Millisecond, 50*time.Millisecond
		tok.steps[0].split.find = re.find
		began := time.Now()
		_, err := tok.TryEncode(c.text)
		testutil.WantError(t, err, "the regex", "takes too long", "backtracks")
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: the error took %v", c.name, took)
		}
		testutil.Equal(t, "text", tok.Decode(tok.Encode(c.text)) == c.text, true)
		re.limit, re.engine.MatchTimeout = time.Minute, time.Minute // however busy the machine is
		_, err = tok.TryEncode("xy")
		testutil.Equal(t, "error of the next text", err, nil)
	}
}

// regex compiles a pattern to give it another limit.
func (s *split) regex(t *testing.T, pattern string) *regex {
	re, err := compileRegex(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return re
}

func TestRegexErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"a)":                              "a ) without its (",
		"(a":                              "a ( without its )",
		"[a":                              "a [ without its ]",
		"[a&&]":                           "an empty set",
		`a\`:                              "ends with a backslash",
		`\q`:                              `the escape \q`,
		`\X`:                              `the escape \X`,
		`\p{Nonsense}`:                    `the property "Nonsense"`,
		`\pL`:                             "without a name in braces",
		`\x{110000}`:                      "not one of a character",
		`\ud800`:                          "not one of a character",
		"[b-a]":                           "a range",
		`[a-\d]`:                          "a range",
		"[[:graph:]]":                     "the class [:graph:]",
		"(?s:a)":                          "(?s",
		"(?~a)":                           "(?~",
		"*a":                              "repeats nothing",
		"a{100000}":                       "the limit is 99999",
		`\k<no>`:                          "the engine refuses it",
		"(?<1 2>a)":                       "the name",
		strings.Repeat("(", 200):          "nested more than 100 deep",
		strings.Repeat("[", 200):          "nested more than 100 deep",
		strings.Repeat("a", maxRegex+1):   "the limit is 16384",
		"a\xff":                           "not valid UTF-8",
		strings.Repeat("(?i)", 200) + "a": "nested more than 100 deep",
	} {
		_, err := compileRegex(pattern)
		testutil.WantError(t, err, want)
	}
}

// FuzzRegex: whatever the pattern, an error or words that are the whole text.
func FuzzRegex(f *testing.F) {
	for _, v := range readVariants(f).Variants {
		if _, pattern, ok := strings.Cut(v.Name, "regex "); ok {
			f.Add(pattern, oddText)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		re, err := compileRegex(pattern)
		if err != nil {
			return
		}
		re.limit, re.engine.MatchTimeout = 100*time.Millisecond, 100*time.Millisecond
		for _, b := range []behavior{isolated, mergedWithPrevious, mergedWithNext, contiguous} {
			var parts strings.Builder
			s := split{find: re.find, behavior: b}
			s.cut(text, func(part string) { parts.WriteString(part) })
			testutil.Equal(t, "text", parts.String(), text)
		}
	})
}
