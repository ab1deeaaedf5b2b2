package data

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
	"github.com/pkg/errors"
)

// Beginning returns the tokens that the template of a tokenizer.json puts
// before a text. Most vocabularies have none.
func Beginning(tok Tokenizer) []int {
	if tok, ok := tok.(*bpe.Tokenizer); ok {
		before, _ := tok.Around()
		return before
	}
	return nil
}

// IsSubwords reports whether a tokenizer is one of package bpe, whose special
// tokens a model's configuration can name.
func IsSubwords(tok Tokenizer) bool {
	_, ok := tok.(*bpe.Tokenizer)
	return ok
}

// Begin returns the ids of a text preceded by the tokens of beginning, unless
// the text already begins with them.
func Begin(beginning, ids []int) []int {
	if begins(ids, beginning) {
		return ids
	}
	return slices.Concat(beginning, ids)
}

// begins reports whether ids begin with some others.
func begins(ids, with []int) bool {
	return len(ids) >= len(with) && slices.Equal(ids[:len(with)], with)
}

// DocumentEnd returns the tokens between two documents: the special token of
// package bpe that ends a text, or [Separator] if there is none.
//
// That token is the first special token with one of the names that well-known
// vocabularies use for it, or otherwise the tokens that the template puts after
// a text.
func DocumentEnd(tok Tokenizer) []int {
	if tok, ok := tok.(*bpe.Tokenizer); ok {
		special := tok.Special()
		for _, name := range endNames {
			if id, ok := tok.ID(name); ok && slices.Contains(special, id) {
				return []int{id}
			}
		}
		if _, after := tok.Around(); len(after) > 0 && slices.Contains(special, after[0]) {
			return after[:1]
		}
	}
	return tok.Encode(Separator)
}

// endNames are the names that well-known vocabularies have for the end of a text.
var endNames = []string{bpe.EndOfText, "<|end_of_text|>", "<｜end▁of▁sentence｜>", "</s>", "<eos>", "<|eos|>", "[EOS]"}

// TextEnd returns the token of the vocabulary that ends a text, which is that
// of [DocumentEnd]. It returns false if that is not a single token, or if the
// token also stands for unknown characters.
func TextEnd(tok Tokenizer) (id int, ok bool) {
	end := DocumentEnd(tok)
	if _, chars := tok.(*Chars); len(end) != 1 || chars && end[0] == UnknownChar {
		return 0, false
	}
	return end[0], true
}

// TryEncode is like tok.Encode, and returns the error of tokenizers that can
// fail; see [bpe.Tokenizer.TryEncode].
func TryEncode(tok Tokenizer, text string) ([]int, error) {
	if tok, ok := tok.(*bpe.Tokenizer); ok {
		return tok.TryEncode(text)
	}
	return tok.Encode(text), nil
}

// BeginWith returns a tokenizer of package bpe with the token id before every
// text, as if its template said so. A tokenizer that already puts tokens before
// a text, or is of another kind, is returned unchanged. It returns an error if
// the vocabulary has no such token.
func BeginWith(tok Tokenizer, id int) (Tokenizer, error) {
	subwords, ok := tok.(*bpe.Tokenizer)
	if !ok || len(Beginning(tok)) > 0 {
		return tok, nil
	}
	begun, err := subwords.BeginWith(id)
	if err != nil {
		return nil, err
	}
	return begun, nil
}

// WithSpecial returns a tokenizer of package bpe that also has these special
// tokens; see [bpe.Tokenizer.WithSpecial]. It returns an error for a tokenizer of
// another kind.
func WithSpecial(tok Tokenizer, texts ...string) (Tokenizer, error) {
	if len(texts) == 0 {
		return tok, nil
	}
	subwords, ok := tok.(*bpe.Tokenizer)
	if !ok {
		return nil, errors.Errorf("special tokens are for vocabularies of subwords, not for a %T", tok)
	}
	more, err := subwords.WithSpecial(texts...)
	if err != nil {
		return nil, err
	}
	return more, nil
}
