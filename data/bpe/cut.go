package bpe

import "strings"

// Cut returns the first position at or after byte n at which text can be split
// so that the ids of the two parts, concatenated, are those of the whole. It
// returns the length of text if there is none. The position does not depend on
// any text that follows.
func (t *Tokenizer) Cut(text string, n int) int {
	if !knowsSpaces(t.steps) {
		return len(text)
	}
	for _, n := range t.normalizers {
		if !n.local {
			return len(text)
		}
	}
	for _, a := range t.added {
		// Such a token may reach over the place before a space.
		if a.RStrip || strings.Contains(a.Content, " ") {
			return len(text)
		}
	}
	return safeCut(text, n)
}
