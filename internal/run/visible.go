package run

import (
	"fmt"
	"strings"
	"unicode"
)

// Visible returns a text from elsewhere as a page or a terminal can show it: bytes
// that are no UTF-8 and control characters, which can move the cursor or change
// what a terminal does, are replaced by what stands for them. Line breaks and tabs
// stay.
func Visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || !unicode.IsControl(r):
			return r
		case r < ' ':
			return '␀' + r
		case r == 0x7f:
			return '␡'
		}
		return unicode.ReplacementChar // those of 8 bits have no picture
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
}

// EscapeControls returns JSON with the control characters that it may hold as they
// are, from 0x7f on, as escapes.
func EscapeControls(json string) string {
	if !strings.ContainsFunc(json, lateControl) {
		return json
	}
	var b strings.Builder
	for _, r := range json {
		if lateControl(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func lateControl(r rune) bool { return unicode.IsControl(r) && r >= 0x7f }
