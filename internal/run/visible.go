package run

import (
	"fmt"
	"strings"
	"unicode"
)

// Visible returns an untrusted text in a form that a page or a terminal can
// show: bytes that are not UTF-8 and control characters, which can affect the
// terminal, are replaced by visible escapes. Line breaks and tabs are kept.
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

// EscapeControls returns JSON in which the control characters from 0x7f on,
// which JSON permits unescaped, are escaped.
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
