package data

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
)

// Beginning returns the tokens that a vocabulary puts before a text, by the
// template of its tokenizer.json; none for most.
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

// Begin returns the ids of a text with what begins one before them, once: nothing
// is added where the text begins with it already.
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

// DocumentEnd returns the tokens that stand between two documents: the special
// token of package bpe that ends a text, or [Separator] where there is none.
//
// That token is, of the special tokens, the first with a name that well-known
// vocabularies have for it, or else what the template puts after a text.
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

// TextEnd returns the token of the vocabulary that ends a text, the one of
// [DocumentEnd]. It reports false where that is not a single token, or one that
// stands for unknown characters too.
func TextEnd(tok Tokenizer) (id int, ok bool) {
	end := DocumentEnd(tok)
	if _, chars := tok.(*Chars); len(end) != 1 || chars && end[0] == UnknownChar {
		return 0, false
	}
	return end[0], true
}

// TryEncode is tok.Encode, with the error of tokenizers that can fail; see
// [bpe.Tokenizer.TryEncode].
func TryEncode(tok Tokenizer, text string) ([]int, error) {
	if tok, ok := tok.(*bpe.Tokenizer); ok {
		return tok.TryEncode(text)
	}
	return tok.Encode(text), nil
}
