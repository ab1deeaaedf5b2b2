package data

import (
	"encoding/json"
	"iter"
	"slices"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// UnknownChar is the id of every character outside the vocabulary of a [Chars].
// It is decoded as U+FFFD.
const UnknownChar = 0

// Chars is a tokenizer with one id for each character (Unicode code point) of a
// vocabulary. Id [UnknownChar] stands for all others; ids from 1 on are the
// characters in ascending order, so that they depend only on the set of
// characters and not on the text that it came from.
//
// Decode returns the text that Encode was given, except that each character
// outside the vocabulary and each byte that is not UTF-8 becomes U+FFFD.
//
// The zero Chars has an empty vocabulary.
type Chars struct {
	known []rune       // ascending; the id of known[i] is i+1
	ids   map[rune]int // the inverse of known
}

// NewChars builds a vocabulary from the characters that occur at least minCount
// times in text. The text should be the training text without the validation
// text. NewChars returns an error if minCount is less than 1 or no character
// qualifies.
func NewChars(text string, minCount int) (*Chars, error) {
	return CharsOf(slices.Values([]string{text}), minCount)
}

// CharsOf is like [NewChars] for a text in pieces.
func CharsOf(text iter.Seq[string], minCount int) (*Chars, error) {
	if minCount < 1 {
		return nil, errors.Errorf("character vocabulary: a minimum count of %d makes no sense: use 1 or more", minCount)
	}
	counts, size := make(map[rune]int), 0
	for piece := range text {
		size += len(piece)
		for _, r := range piece {
			counts[r]++
		}
	}
	// U+FFFD is the unknown itself, and what bytes outside UTF-8 are read as.
	delete(counts, utf8.RuneError)
	var known []rune
	for r, n := range counts {
		if n >= minCount {
			known = append(known, r)
		}
	}
	if len(known) == 0 {
		return nil, errors.Errorf("character vocabulary: no character occurs %d times in %d bytes of text: use more text or a lower minimum", minCount, size)
	}
	slices.Sort(known)
	return newChars(known), nil
}

// newChars makes the tokenizer of characters in ascending order.
func newChars(known []rune) *Chars {
	ids := make(map[rune]int, len(known))
	for i, r := range known {
		ids[r] = i + 1
	}
	return &Chars{known: known, ids: ids}
}

// Encode returns one id for each character of text.
func (c *Chars) Encode(text string) []int {
	ids := make([]int, 0, utf8.RuneCountInString(text))
	for _, r := range text {
		ids = append(ids, c.ids[r]) // a missing character is 0, UnknownChar
	}
	return ids
}

// Decode returns one character for each id.
func (c *Chars) Decode(ids []int) string {
	text := make([]byte, 0, len(ids))
	for _, id := range ids {
		r := utf8.RuneError
		if id > UnknownChar && id <= len(c.known) {
			r = c.known[id-1]
		}
		text = utf8.AppendRune(text, r)
	}
	return string(text)
}

// Size returns the number of characters in the vocabulary, and one more for
// [UnknownChar].
func (c *Chars) Size() int { return len(c.known) + 1 }

// charsJSON is what Chars keeps on disk: the known characters, ascending.
type charsJSON struct {
	Chars string `json:"chars"`
}

// MarshalJSON returns the vocabulary as {"chars":"…"} with the characters in
// ascending order.
func (c *Chars) MarshalJSON() ([]byte, error) {
	return json.Marshal(charsJSON{Chars: string(c.known)})
}

// UnmarshalJSON reads the result of MarshalJSON. It returns an error, and does
// not change c, if the vocabulary is empty, is not in ascending order, contains
// a character twice, or contains U+FFFD.
func (c *Chars) UnmarshalJSON(text []byte) error {
	var saved charsJSON
	if err := json.Unmarshal(text, &saved); err != nil {
		return errors.Wrap(err, "character vocabulary")
	}
	known := []rune(saved.Chars)
	if len(known) == 0 {
		return errors.New("character vocabulary: no characters: the file is damaged or of another kind")
	}
	for i, r := range known {
		if r == utf8.RuneError {
			return errors.Errorf("character vocabulary: character %d is U+FFFD, which stands for the unknown: remove it", i)
		}
		if i > 0 && r <= known[i-1] {
			return errors.Errorf("character vocabulary: character %d, %q, does not come after %q: sort the characters and keep each once", i, r, known[i-1])
		}
	}
	*c = *newChars(known)
	return nil
}
