package main

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/data"
)

// text is a corpus as token ids, cut in two.
type text struct {
	source     string
	documents  int
	bytes      int
	characters int
	tokenizer  *data.Chars
	train, val []int
}

func loadText(ctx context.Context, s settings) (*text, error) {
	corpus, err := loadCorpus(ctx, s)
	if err != nil {
		return nil, err
	}
	all := corpus.Text()
	tok, err := data.NewChars(all, s.rare)
	if err != nil {
		return nil, err
	}
	t := &text{source: corpus.Source, documents: len(corpus.Documents), bytes: len(all), characters: utf8.RuneCountInString(all), tokenizer: tok}
	t.train, t.val, err = data.Split(tok.Encode(all), s.val, s.length+1)
	return t, err
}

func loadCorpus(ctx context.Context, s settings) (*data.Corpus, error) {
	if len(s.data) == 0 {
		return data.GoSource(ctx, s.maxBytes, s.seed)
	}
	return data.Load(data.DefaultMaxBytes, s.data...)
}

// someLine returns a line of the held-out part to begin a sample with, one that
// says something.
func (t *text) someLine() string {
	for _, line := range strings.Split(t.tokenizer.Decode(t.val), "\n") {
		if len(strings.TrimSpace(line)) >= 12 && strings.HasPrefix(line, "func ") {
			return line + "\n"
		}
	}
	return t.tokenizer.Decode(t.val[:min(32, len(t.val))])
}
