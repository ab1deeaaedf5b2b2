package bpe

import (
	"strings"
	"unicode"

	"github.com/pkg/errors"
	"golang.org/x/text/unicode/norm"
)

// normalizer is one change to a text before it is cut into words.
type normalizer struct {
	change func(text string) (string, error)
	// local says that the change of a text is that of its parts, wherever it is cut
	// before a space behind a character that is not white space.
	local bool
}

// forms are the normal forms of Unicode.
var forms = map[string]norm.Form{"NFC": norm.NFC, "NFD": norm.NFD, "NFKC": norm.NFKC, "NFKD": norm.NFKD}

// newNormalizer returns the normalizer of a part that is not a sequence.
func newNormalizer(p partJSON) (normalizer, error) {
	if form, ok := forms[p.Type]; ok {
		return normalizer{sure(func(s string) string { return normalForm(form, s) }), true}, nil
	}
	switch p.Type {
	case "Lowercase":
		return normalizer{sure(lowercase), true}, nil
	case "StripAccents":
		return normalizer{sure(stripAccents), false}, nil
	case "Strip":
		return normalizer{sure(func(s string) string { return strip(s, p.StripLeft, p.StripRight) }), false}, nil
	case "Prepend":
		return normalizer{sure(func(s string) string {
			if s == "" {
				return s
			}
			return p.Prepend + s
		}), false}, nil
	case "Replace":
		find, err := p.Pattern.finder("a Replace")
		return normalizer{func(s string) (string, error) { return replace(s, find, p.Content) }, false}, err
	}
	return normalizer{}, errors.Errorf("a normalizer of type %.40q is not supported: it must be null, NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, StripAccents or a Sequence of these", p.Type)
}

// sure is a change that cannot fail.
func sure(change func(text string) string) func(text string) (string, error) {
	return func(text string) (string, error) { return change(text), nil }
}

// lowercase is the full lower case of each character by itself: of all characters
// only U+0130 becomes two, and a sigma at the end of a word is like any other.
func lowercase(text string) string {
	return mapValid(unicode.ToLower, strings.ReplaceAll(text, "İ", "i\u0307"))
}

// mapValid maps the characters of a text, and keeps bytes outside UTF-8.
func mapValid(to func(r rune) rune, text string) string {
	var out strings.Builder
	out.Grow(len(text))
	for len(text) > 0 {
		r, size := firstRune(text)
		if r < 0 {
			out.WriteByte(text[0])
		} else if r = to(r); r >= 0 {
			out.WriteRune(r)
		}
		text = text[size:]
	}
	return out.String()
}

// stripAccents leaves out marks.
func stripAccents(text string) string {
	return mapValid(func(r rune) rune {
		if unicode.Is(unicode.M, r) {
			return -1
		}
		return r
	}, text)
}

func strip(text string, left, right bool) string {
	if left {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
	}
	if right {
		text = strings.TrimRightFunc(text, unicode.IsSpace)
	}
	return text
}

// replace puts content in the place of all that is found.
func replace(text string, find finder, content string) (string, error) {
	var out strings.Builder
	done := 0
	err := find(text, func(start, end int) {
		out.WriteString(text[done:start])
		out.WriteString(content)
		done = end
	})
	out.WriteString(text[done:])
	return out.String(), err
}

// normalize converts a text to the form in which it is split into words. If a
// change fails, normalize returns the text as changed so far and stores the
// error in failed.
func (t *Tokenizer) normalize(text string, failed *error) string {
	for _, n := range t.normalizers {
		changed, err := n.change(text)
		if err != nil && *failed == nil {
			*failed = err
		}
		text = changed
	}
	return text
}
