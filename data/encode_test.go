package data

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
	"github.com/pkg/errors"
)

// longText is a text of n bytes or a little more, of words of several scripts.
func longText(n int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	words := []string{"the", "cell", "forgets", "señor", "日本語", "x+=1", "\n\n", "  two", "it's", "\t"}
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteString(strings.Repeat(" ", r.IntN(3)))
	}
	return b.String()
}

func subwords(t testing.TB, vocab int, texts ...string) *bpe.Tokenizer {
	t.Helper()
	tok, err := bpe.Train(context.Background(), slices.Values(texts), bpe.TrainConfig{VocabSize: vocab, SpecialTokens: []string{bpe.EndOfText}, Pattern: bpe.Llama3})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// texts writes files, one of them longer than a piece, and returns the folder.
func texts(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.txt": longText(2000, 1), "b.txt": longText(3*pieceBytes+12345, 2), "c.txt": longText(500, 3), "d.bin": "\x00", "e.txt": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tokenizers are one of each kind.
func tokenizers(t testing.TB, text string) map[string]Tokenizer {
	chars, err := NewChars(text, 100) // some are unknown
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Tokenizer{"bytes": Bytes{}, "chars": chars, "bpe": subwords(t, 400, text)}
}

// TestPiecesEncodeAsTheWhole from memory and from files.
func TestPiecesEncodeAsTheWhole(t *testing.T) {
	dir := texts(t)
	docs, err := Load(0, dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := Find(dir)
	if err != nil || !slices.Equal(files.Skipped, docs.Skipped) || len(files.Skipped) != 2 {
		t.Fatalf("%+v, %v: want %v skipped", files, err, docs.Skipped)
	}
	for name, tok := range tokenizers(t, docs.Text()) {
		var want []int
		for i, d := range docs.Documents {
			if i > 0 {
				want = append(want, DocumentEnd(tok)...)
			}
			want = append(want, tok.Encode(d.Text)...)
		}
		if name != "bpe" && !slices.Equal(want, tok.Encode(docs.Text())) {
			t.Errorf("%s: documents are not kept apart as in the text of the corpus", name)
		}
		for from, pieces := range map[string]iter.Seq2[Piece, error]{"memory": docs.Pieces(tok), "files": files.Pieces(tok)} {
			ids, size, err := EncodeIDs(context.Background(), tok, pieces)
			if err != nil || !slices.Equal(ids, want) {
				t.Errorf("%s from %s: %d ids, want %d: %v", name, from, len(ids), len(want), err)
			}
			if text := docs.Text(); size.Bytes != len(text) || size.Chars != len([]rune(text)) || size.Documents != 3 {
				t.Errorf("%s from %s: %+v, want %d bytes", name, from, size, len(text))
			}
		}
	}
}

func TestDocumentEnd(t *testing.T) {
	text := longText(1000, 1)
	tok := subwords(t, 300, text)
	end, _ := tok.ID(bpe.EndOfText)
	if got := DocumentEnd(tok); !slices.Equal(got, []int{end}) {
		t.Errorf("subwords: %v, want %d", got, end)
	}
	if got := DocumentEnd(Bytes{}); !slices.Equal(got, []int{0x1e}) {
		t.Errorf("bytes: %v", got)
	}
}

func TestEncodeEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	pieces := func(yield func(Piece, error) bool) {
		for i := range 100 {
			if i == 50 {
				yield(Piece{}, broken)
				return
			}
			if !yield(Piece{fmt.Sprint(i), true}, nil) {
				return
			}
		}
	}
	if _, _, err := EncodeIDs(context.Background(), Bytes{}, pieces); err != broken {
		t.Errorf("%v, want that of the pieces", err)
	}
	_, err := Encode(context.Background(), Bytes{}, pieces, func([]int) error { return broken })
	if err != broken {
		t.Errorf("%v, want that of emit", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := EncodeIDs(ctx, Bytes{}, pieces); err == nil {
		t.Error("no error of a context that is done")
	}
}

// TestLengthsAddUpToTheText whatever the tokenizer.
func TestLengthsAddUpToTheText(t *testing.T) {
	docs, err := Load(0, texts(t))
	if err != nil {
		t.Fatal(err)
	}
	text := docs.Text()
	for name, tok := range tokenizers(t, text) {
		ids, size, err := EncodeIDs(context.Background(), tok, docs.Pieces(tok))
		if err != nil {
			t.Fatal(err)
		}
		l := NewLengths(tok, ids, size.Bytes)
		firstBytes, firstChars := l.Of(ids[:1])
		bytes, chars := l.Of(ids[1:])
		if int(math.Round(bytes)) != len(text)-int(firstBytes) || chars != float64(len([]rune(text))-int(firstChars)) {
			t.Errorf("%s: %v bytes and %v characters, want all but %v of %d and %v of %d", name, bytes, chars, firstBytes, len(text), firstChars, len([]rune(text)))
		}
		if bytes, chars := l.Of([]int{Ignore}); bytes != 0 || chars != 0 {
			t.Errorf("%s: what is ignored counts", name)
		}
	}
}

func TestWithoutToken(t *testing.T) {
	tok := subwords(t, 300, longText(1000, 1))
	if got := WithoutToken(tok, tok.Size()); got != nil {
		t.Errorf("%v, want none", got)
	}
	if got := WithoutToken(tok, 303); !slices.Equal(got, []int{300, 301, 302}) {
		t.Errorf("%v, want the rows beyond the tokens", got)
	}
}
