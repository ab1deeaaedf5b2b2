package main

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// corpusSeed orders the default text, so that the seed of a run does not change
// what is held out.
const corpusSeed = 1

// corpus is a text as token ids, cut in two.
type corpus struct {
	source     string
	documents  int
	left       int // files that are no text, or were not written by people
	whole      string
	tokenizer  data.Tokenizer
	train, val []int
}

// loadText reads the texts of a run. Without a tokenizer, one is made of the part
// to train on.
func loadText(ctx context.Context, s settings, tok data.Tokenizer) (*corpus, error) {
	docs, err := loadDocuments(ctx, s)
	if err != nil {
		return nil, err
	}
	t := &corpus{source: docs.Source, documents: len(docs.Documents), left: docs.Skipped, whole: docs.Text(), tokenizer: tok}
	if t.tokenizer == nil {
		if t.tokenizer, err = newTokenizer(s, t.whole); err != nil {
			return nil, err
		}
	}
	t.train, t.val, err = data.Split(t.tokenizer.Encode(t.whole), s.Val, s.Length+1)
	return t, err
}

// newTokenizer makes the vocabulary, of characters from the part to train on.
func newTokenizer(s settings, whole string) (data.Tokenizer, error) {
	if s.Tokens == "bytes" {
		return data.Bytes{}, nil
	}
	held := int(s.Val * float64(utf8.RuneCountInString(whole)))
	return data.NewChars(whole[:len(whole)-len(lastRunes(whole, held))], s.Rare)
}

func loadDocuments(ctx context.Context, s settings) (*data.Corpus, error) {
	if len(s.Data) > 0 {
		return data.Load(data.DefaultMaxBytes, s.Data...)
	}
	docs, err := data.GoSource(ctx, s.MaxBytes, corpusSeed)
	return docs, errors.Wrap(err, "reading the default text (name another with -data)")
}

// lastRunes returns the last n characters of s.
func lastRunes(s string, n int) string {
	at := len(s)
	for range n {
		_, size := utf8.DecodeLastRuneInString(s[:at])
		at -= size
	}
	return s[at:]
}

// heldText returns the text that the held-out tokens after the first stand for,
// with the characters that the vocabulary does not know.
func (t *corpus) heldText() string {
	return lastTokens(t.tokenizer, t.whole, len(t.val)-1)
}

// lastTokens returns the end of text that n tokens stand for.
func lastTokens(tok data.Tokenizer, text string, n int) string {
	if _, ok := tok.(data.Bytes); ok {
		return text[len(text)-n:]
	}
	return lastRunes(text, n)
}

// unknown returns the share of tokens that stand for characters which the
// vocabulary does not know.
func unknown(tok data.Tokenizer, tokens []int) float64 {
	if _, ok := tok.(*data.Chars); !ok || len(tokens) == 0 {
		return 0
	}
	n := 0
	for _, id := range tokens {
		if id == data.UnknownChar {
			n++
		}
	}
	return float64(n) / float64(len(tokens))
}

// describe tells of the text in two lines or three.
func (t *corpus) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "text    %s: %s, %d characters", t.source, count(t.documents, "document"), utf8.RuneCountInString(t.whole))
	if t.left > 0 {
		fmt.Fprintf(&b, "; %s left out", count(t.left, "file"))
	}
	fmt.Fprintf(&b, "\n        %d tokens to train on, %d held out, vocabulary %d\n", len(t.train), len(t.val), t.tokenizer.Size())
	if u := unknown(t.tokenizer, t.train); u >= 0.001 {
		fmt.Fprintf(&b, "        %.1f %% of the characters are too rare for the vocabulary and count as one; see -rare and -tokens bytes\n", 100*u)
	}
	return b.String()
}

// someLine returns a line of the held-out part to begin a sample with: the first
// function of a Go source, else the first line that says something.
func (t *corpus) someLine() string {
	lines := strings.SplitAfter(t.tokenizer.Decode(t.val[:min(len(t.val), 1<<16)]), "\n")
	for _, wanted := range []func(string) bool{
		func(l string) bool { return strings.HasPrefix(l, "func ") },
		func(l string) bool { return len(strings.TrimSpace(l)) >= 8 },
	} {
		// The first line may begin in the middle.
		for _, l := range lines[min(1, len(lines)-1):] {
			if wanted(l) {
				return l
			}
		}
	}
	return lines[0]
}
