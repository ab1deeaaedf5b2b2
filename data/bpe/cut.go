package bpe

import "strings"

// Cut returns the first place from byte n of text on where it can be cut in two,
// so that the ids of the parts are together those of the whole, and the length
// of text if there is none. What follows text has no influence on the place.
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
