package xlstm

import (
	"strings"
	"unicode/utf8"
)

// firstStop returns where the first stop string begins, −1 if there is none.
func firstStop(text string, stops []string) int {
	first := -1
	for _, s := range stops {
		if at := strings.Index(text, s); s != "" && at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	return first
}

// unfinished returns the length of the beginning of a character, without its end,
// that text ends with.
func unfinished(text string) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if end := text[len(text)-n:]; utf8.RuneStart(end[0]) {
			if !utf8.FullRuneInString(end) {
				return n
			}
			break
		}
	}
	return 0
}

// pending returns the length of the end of text that may still become part of a
// stop string, or that is the beginning of a character in bytes.
func pending(text string, stops []string) int {
	most := unfinished(text)
	for _, s := range stops {
		for n := min(len(s)-1, len(text)); n > most; n-- {
			if strings.HasSuffix(text, s[:n]) {
				most = n
				break
			}
		}
	}
	return most
}
