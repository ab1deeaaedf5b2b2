package bpe

import (
	"unicode"
	"unicode/utf8"
)

// class is what the patterns ask of a character.
type class uint8

const (
	other  class = iota // the rest, and bytes outside UTF-8
	letter              // \p{L}
	number              // \p{N}
	space               // \s: the property White_Space
)

// lowClasses are the classes of the characters below U+10000: searching the
// tables of package unicode for each character would take most of the time.
var lowClasses [1 << 16]class

func init() {
	for c, table := range map[class]*unicode.RangeTable{letter: unicode.L, number: unicode.N, space: unicode.White_Space} {
		for _, r := range table.R16 {
			for i := int(r.Lo); i <= int(r.Hi); i += int(r.Stride) {
				lowClasses[i] = c
			}
		}
	}
}

// searchClass returns the class of any character, slowly.
func searchClass(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// firstClass returns the class of the first character of s, which is not empty,
// and its number of bytes.
func firstClass(s string) (class, int) {
	if s[0] < utf8.RuneSelf {
		return lowClasses[s[0]], 1
	}
	// A byte outside UTF-8 is read as U+FFFD, which is of class other.
	r, size := utf8.DecodeRuneInString(s)
	if r < rune(len(lowClasses)) {
		return lowClasses[r], size
	}
	return searchClass(r), size
}

// runEnd returns the end of the characters of class c that begin at byte i of s.
func runEnd(s string, i int, c class) int {
	for i < len(s) {
		if b := s[i]; b < utf8.RuneSelf {
			if lowClasses[b] != c {
				return i
			}
			i++
			continue
		}
		found, size := firstClass(s[i:])
		if found != c {
			return i
		}
		i += size
	}
	return i
}

// isWord reports whether r is \w: a letter or what counts as one, a mark, a
// decimal digit, a connector such as the underscore, or a joiner.
func isWord(r rune) bool {
	return unicode.In(r, unicode.L, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc, unicode.Join_Control)
}
