package data

import (
	"slices"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/data/bpe"
)

// Lengths maps the ids of a tokenizer to amounts of text, the units in which
// losses of different tokenizers can be compared. A special token, such as the
// end of a text, counts as one character of one byte, like [Separator]; a token
// that only begins a text counts as nothing. The unknown character of [Chars]
// counts as one character with the mean number of bytes of such characters in
// the text.
type Lengths struct{ bytes, chars []float64 }

// NewLengths returns the lengths of the ids of tok in a text of textBytes bytes
// with the given tokens.
func NewLengths(tok Tokenizer, tokens Tokens, textBytes int) *Lengths {
	l := &Lengths{make([]float64, tok.Size()), make([]float64, tok.Size())}
	special := make(map[int]bool)
	if tok, ok := tok.(*bpe.Tokenizer); ok {
		for _, id := range tok.Special() {
			special[id] = true
		}
	}
	begin, end := Beginning(tok), DocumentEnd(tok)
	for id := range l.bytes {
		switch text := tokenText(tok, id); {
		case slices.Contains(begin, id) && !slices.Contains(end, id):
		case special[id]:
			l.bytes[id], l.chars[id] = 1, 1
		default:
			l.bytes[id], l.chars[id] = float64(len(text)), float64(runeStarts(text))
		}
	}
	if _, ok := tok.(*Chars); ok {
		l.setUnknown(tokens, textBytes)
	}
	return l
}

// tokenText returns the text of an id, which Decode does not when it is the part
// of a character.
func tokenText(tok Tokenizer, id int) string {
	if tok, ok := tok.(*bpe.Tokenizer); ok {
		text, _ := tok.Token(id)
		return text
	}
	return tok.Decode([]int{id})
}

// runeStarts counts the characters that begin in a text.
func runeStarts(text string) int {
	n := 0
	for i := range len(text) {
		if utf8.RuneStart(text[i]) {
			n++
		}
	}
	return n
}

// setUnknown gives the unknown characters the bytes that the others leave.
func (l *Lengths) setUnknown(tokens Tokens, textBytes int) {
	l.bytes[UnknownChar] = 0
	known, unknown := 0.0, 0
	eachBlock(tokens, 0, func(ids []int) {
		for _, id := range ids {
			known += l.bytes[id]
			if id == UnknownChar {
				unknown++
			}
		}
	})
	if unknown > 0 {
		l.bytes[UnknownChar] = (float64(textBytes) - known) / float64(unknown)
	}
}

// Of returns the amount of text that ids stand for. [Ignore] counts as nothing.
func (l *Lengths) Of(ids []int) (bytes, chars float64) {
	for _, id := range ids {
		if id >= 0 && id < len(l.bytes) {
			bytes, chars = bytes+l.bytes[id], chars+l.chars[id]
		}
	}
	return bytes, chars
}

// WithoutToken returns, in ascending order, the ids below vocab that have no
// token: models often have more rows than there are tokens.
func WithoutToken(tok Tokenizer, vocab int) []int {
	var ids []int
	for id := range vocab {
		if id >= tok.Size() || tokenText(tok, id) == "" {
			ids = append(ids, id)
		}
	}
	return ids
}
