package data

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/pkg/errors"
)

func mustChars(t testing.TB, text string, minCount int) *Chars {
	t.Helper()
	c, err := NewChars(text, minCount)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCharsIDsAreSortedByRune(t *testing.T) {
	c := mustChars(t, "zebra é\n世", 1)
	testutil.Equal(t, "ids", c.Encode("\n abezé世"), []int{1, 2, 3, 4, 5, 7, 8, 9})
	testutil.Equal(t, "size", c.Size(), 10)
	other := mustChars(t, "世世éarbez \nzz", 1)
	testutil.Equal(t, "vocabulary of the same set", other, c)
}

func TestCharsMinCount(t *testing.T) {
	c := mustChars(t, "aaabbc", 2)
	testutil.Equal(t, "size", c.Size(), 3)
	testutil.Equal(t, "ids", c.Encode("abcd"), []int{1, 2, UnknownChar, UnknownChar})
	testutil.Equal(t, "text", c.Decode([]int{1, 2, 0}), "ab\uFFFD")
}

func TestCharsUnknown(t *testing.T) {
	// Neither U+FFFD nor bytes outside UTF-8 become known characters.
	c := mustChars(t, "a\uFFFD\uFFFD\xff\xff", 1)
	testutil.Equal(t, "size", c.Size(), 2)
	testutil.Equal(t, "ids", c.Encode("a\uFFFD\xffa"), []int{1, 0, 0, 1})
	testutil.Equal(t, "ids out of range", c.Decode([]int{-1, 2, 1 << 30, 1}), "\uFFFD\uFFFD\uFFFDa")
	var zero Chars
	testutil.Equal(t, "zero size", zero.Size(), 1)
	testutil.Equal(t, "zero ids", zero.Encode("ab"), []int{0, 0})
	testutil.Equal(t, "zero text", zero.Decode([]int{0, 1}), "\uFFFD\uFFFD")
}

func TestNewCharsErrors(t *testing.T) {
	_, err := NewChars("abc", 0)
	testutil.WantError(t, err, "minimum count of 0")
	_, err = NewChars("abc", 2)
	testutil.WantError(t, err, "no character occurs 2 times in 3 bytes")
	_, err = NewChars("", 1)
	testutil.WantError(t, err, "0 bytes")
	_, err = NewChars("\uFFFD", 1)
	testutil.WantError(t, err, "no character")
}

func TestCharsJSON(t *testing.T) {
	c := mustChars(t, "\x00\"\\<é世\u2028😀", 1)
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	back := new(Chars)
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatal(err)
	}
	testutil.Equal(t, "round trip", back, c)
}

func TestCharsJSONErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                    "no characters",
		`null`:                  "no characters",
		`{"chars":""}`:          "no characters",
		`{"chars":7}`:           "character vocabulary",
		`{"chars":"ba"}`:        "character 1, 'a', does not come after 'b'",
		`{"chars":"abb"}`:       "character 2, 'b', does not come after 'b'",
		`{"chars":"a\ufffd"}`:   "character 1 is U+FFFD",
		`{"chars":"a\udc00"}`:   "character 1 is U+FFFD", // half a surrogate pair
		"{\"chars\":\"a\xff\"}": "character 1 is U+FFFD",
	} {
		c := mustChars(t, "xyz", 1)
		err := c.UnmarshalJSON([]byte(text))
		testutil.WantError(t, err, want)
		testutil.Equal(t, "vocabulary after an error", c, mustChars(t, "xyz", 1))
	}
}

func TestBytes(t *testing.T) {
	var tok Bytes
	testutil.Equal(t, "size", tok.Size(), 256)
	testutil.Equal(t, "ids", tok.Encode("aé\xff"), []int{'a', 0xc3, 0xa9, 0xff})
	testutil.Equal(t, "text", tok.Decode([]int{'a', 0xc3, 0xa9, 0xff, -1, 256}), "aé\xff\uFFFD\uFFFD")
}

// mustBPE learns a few subwords.
func mustBPE(t testing.TB) *bpe.Tokenizer {
	t.Helper()
	config := bpe.TrainConfig{VocabSize: 260, SpecialTokens: []string{bpe.EndOfText}}
	tok, err := bpe.Train(context.Background(), slices.Values([]string{"low lower lowest"}), config)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// reloaded returns a tokenizer that was saved and loaded.
func reloaded(t testing.TB, tok Tokenizer) Tokenizer {
	t.Helper()
	var file bytes.Buffer
	if err := SaveTokenizer(&file, tok); err != nil {
		t.Fatal(err)
	}
	back, err := LoadTokenizer(&file)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestSaveAndLoadTokenizer(t *testing.T) {
	for _, tok := range []Tokenizer{Bytes{}, mustChars(t, "hello, 世界", 1), mustBPE(t)} {
		back := reloaded(t, tok)
		testutil.Equal(t, "loaded tokenizer", back, tok)
	}
}

// foreign is a tokenizer of another package.
type foreign struct{ Bytes }

func TestSaveTokenizerErrors(t *testing.T) {
	testutil.WantError(t, SaveTokenizer(io.Discard, foreign{}), "data.foreign")
	testutil.WantError(t, SaveTokenizer(io.Discard, nil), "nil")
	r, w := io.Pipe()
	r.CloseWithError(errors.New("disk full"))
	testutil.WantError(t, SaveTokenizer(w, Bytes{}), "write tokenizer", "disk full")
}

func TestLoadTokenizerErrors(t *testing.T) {
	for text, want := range map[string]string{
		``:                   "not a saved tokenizer",
		`hello`:              "not a saved tokenizer",
		`[]`:                 "not a saved tokenizer",
		`{"kind":"bytes"} x`: "not a saved tokenizer",
		`{}`:                 `unknown kind ""`,
		`{"kind":"bpe"}`:     `unknown kind "bpe"`,
		`{"kind":"chars"}`:   `kind "chars"`,
		`{"kind":"chars","tokenizer":{"chars":"ba"}}`: "does not come after",
		`{"model":{"type":"WordPiece"}}`:              `"WordPiece" is not supported`,
		`{"model":7}`:                                 "tokenizer.json",
	} {
		tok, err := LoadTokenizer(strings.NewReader(text))
		testutil.WantError(t, err, "read tokenizer", want)
		testutil.Equal(t, "tokenizer", tok, nil)
	}
	_, err := LoadTokenizer(iotest.ErrReader(errors.New("disk gone")))
	testutil.WantError(t, err, "disk gone")
}

// spaces is a reader without an end.
type spaces struct{ read int }

func (s *spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	s.read += len(p)
	return len(p), nil
}

func TestLoadTokenizerStopsReading(t *testing.T) {
	endless := new(spaces)
	_, err := LoadTokenizer(endless)
	testutil.WantError(t, err, "more than 67108864 bytes")
	if endless.read > maxTokenizerBytes+1 {
		t.Errorf("read %d bytes", endless.read)
	}
}

func FuzzBytes(f *testing.F) {
	for _, text := range []string{"", "plain", "é世😀", "\xff\x00\xc3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids := Bytes{}.Encode(text)
		for i, id := range ids {
			if id < 0 || id >= (Bytes{}).Size() {
				t.Fatalf("id %d is %d", i, id)
			}
		}
		if back := (Bytes{}).Decode(ids); back != text {
			t.Fatalf("got %q, want %q", back, text)
		}
	})
}

func FuzzChars(f *testing.F) {
	f.Add("the corpus", "the text")
	f.Add("é世😀", "e世\uFFFD")
	f.Add("a\x00", "\xff\x00\xc3a")
	f.Fuzz(func(t *testing.T, corpus, text string) {
		tok, err := NewChars(corpus, 1)
		if err != nil {
			return
		}
		ids := tok.Encode(text)
		for i, id := range ids {
			if id < 0 || id >= tok.Size() {
				t.Fatalf("id %d is %d of %d", i, id, tok.Size())
			}
		}
		// Map, too, reads each byte outside UTF-8 as one U+FFFD.
		want := strings.Map(func(r rune) rune {
			if !strings.ContainsRune(corpus, r) {
				return utf8.RuneError
			}
			return r
		}, text)
		if back := tok.Decode(ids); back != want {
			t.Fatalf("got %q, want %q", back, want)
		}
		if again := tok.Encode(want); !reflect.DeepEqual(again, ids) {
			t.Fatalf("decoded and encoded again: got %v, want %v", again, ids)
		}
	})
}

func FuzzLoadTokenizer(f *testing.F) {
	for _, text := range []string{
		`{"kind":"bytes","tokenizer":{}}`,
		`{"kind":"chars","tokenizer":{"chars":"\u0000abc世"}}`,
		`{"kind":"chars","tokenizer":{"chars":"cba"}}`,
		`{"kind":"chars","tokenizer":null}`,
		`{"kind":"chars","tokenizer":{"chars":"\ud800"}}`,
		`{"kind":"bpe","tokenizer":{"merges":999999999999}}`,
		`[[[[[[[[`,
		"\x1f\x8b\x00\xff",
	} {
		f.Add([]byte(text))
	}
	var learned bytes.Buffer
	if err := SaveTokenizer(&learned, mustBPE(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(learned.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		tok, err := LoadTokenizer(bytes.NewReader(text))
		if err != nil {
			return
		}
		if tok.Size() > max(256, len(text)) {
			t.Fatalf("%d ids out of %d bytes", tok.Size(), len(text))
		}
		back := reloaded(t, tok)
		if !reflect.DeepEqual(back, tok) {
			t.Fatalf("saved and loaded again: got %v, want %v", back, tok)
		}
	})
}
