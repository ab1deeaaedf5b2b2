package main

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/data"
)

// corpus is a text as token ids, cut in two.
type corpus struct {
	source     string
	documents  int
	characters int
	bytes      int
	tokenizer  data.Tokenizer
	train, val []int
}

// loadText reads the texts of a run. Without a tokenizer, one is made of them.
func loadText(ctx context.Context, s settings, tok data.Tokenizer) (*corpus, error) {
	docs, err := loadDocuments(ctx, s)
	if err != nil {
		return nil, err
	}
	all := docs.Text()
	t := &corpus{source: docs.Source, documents: len(docs.Documents), characters: utf8.RuneCountInString(all), bytes: len(all), tokenizer: tok}
	if t.tokenizer == nil {
		if t.tokenizer, err = newTokenizer(s, all); err != nil {
			return nil, err
		}
	}
	t.train, t.val, err = data.Split(t.tokenizer.Encode(all), s.Val, s.Length+1)
	return t, err
}

func newTokenizer(s settings, all string) (data.Tokenizer, error) {
	if s.Tokens == "bytes" {
		return data.Bytes{}, nil
	}
	return data.NewChars(all, s.Rare)
}

func loadDocuments(ctx context.Context, s settings) (*data.Corpus, error) {
	if len(s.Data) == 0 {
		return data.GoSource(ctx, s.MaxBytes, s.Seed)
	}
	return data.Load(data.DefaultMaxBytes, s.Data...)
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
