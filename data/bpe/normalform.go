package bpe

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// joiner is what package norm puts into a run of more than 30 marks, so that a
// stream needs little memory: not a part of the normal form.
const joiner = "\u034f"

// normalForm returns a text in a normal form of Unicode, as the library has it:
// also where a character has more than 30 marks.
func normalForm(form norm.Form, text string) string {
	changed := form.String(text)
	if strings.Count(changed, joiner) == strings.Count(text, joiner) {
		return changed
	}
	return slowNormalForm(form, text)
}

// slowNormalForm decomposes a text, orders its marks and composes them, without a
// limit on their number.
func slowNormalForm(form norm.Form, text string) string {
	apart, compose := norm.NFD, form == norm.NFC || form == norm.NFKC
	if form == norm.NFKC || form == norm.NFKD {
		apart = norm.NFKD
	}
	var out strings.Builder
	var run []string // a starter, if there is one, and the marks after it
	flush := func() {
		slices.SortStableFunc(run, func(a, b string) int { return combiningClass(a) - combiningClass(b) })
		if compose {
			run = composed(run)
		}
		out.WriteString(strings.Join(run, ""))
		run = run[:0]
	}
	for len(text) > 0 {
		_, size := utf8.DecodeRuneInString(text)
		for parts := apart.String(text[:size]); parts != ""; {
			_, n := utf8.DecodeRuneInString(parts)
			if combiningClass(parts[:n]) == 0 && !(compose && joins(run, parts[:n])) {
				flush()
			}
			run = append(run, parts[:n])
			parts = parts[n:]
		}
		text = text[size:]
	}
	flush()
	return out.String()
}

// combiningClass returns the canonical combining class of a character, 0 for a
// starter.
func combiningClass(char string) int {
	return int(norm.NFD.PropertiesString(char).CCC())
}

// joins reports whether a starter composes with those before it, without marks
// between: as the letters of Hangul do.
func joins(run []string, starter string) bool {
	before := strings.Join(run, "")
	return before != "" && combiningClass(run[len(run)-1]) == 0 && utf8.RuneCountInString(norm.NFC.String(before+starter)) == 1
}

// composed joins a starter with the marks after it, in their order, that make one
// character with it. A mark that stands behind another of its class, or higher,
// that stays is blocked.
func composed(run []string) []string {
	if len(run) == 0 || combiningClass(run[0]) != 0 {
		return run
	}
	kept, last := []string{run[0]}, 0
	for _, mark := range run[1:] {
		class := combiningClass(mark)
		if len(kept) == 1 || last < class {
			if one := norm.NFC.String(kept[0] + mark); utf8.RuneCountInString(one) == 1 {
				kept[0] = one
				continue
			}
		}
		kept, last = append(kept, mark), class
	}
	return kept
}

// firstRune returns the first character of a text, which is not empty, and its
// size; -1 and 1 for a byte outside UTF-8.
func firstRune(text string) (r rune, size int) {
	r, size = utf8.DecodeRuneInString(text)
	if r == utf8.RuneError && size == 1 {
		return -1, 1
	}
	return r, size
}
