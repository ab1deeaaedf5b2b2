package bpe

import (
	"strings"
	"unicode/utf8"
)

// The patterns are written for engines that try alternatives in their order and
// look ahead, which package regexp does not. The scanners below find the same
// first match at the beginning of a text. Every character begins a match, so
// that match after match covers the text.

// gpt2Word returns the length of the first word of s, which is not empty, by the
// pattern of GPT-2:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func gpt2Word(s string) int {
	if s[0] == '\'' {
		if n := contraction(s); n > 0 {
			return n
		}
	}
	i := 0
	if s[0] == ' ' && len(s) > 1 {
		i = 1
	}
	c, size := firstClass(s[i:])
	if c == space {
		return spaces(s)
	}
	return runEnd(s, i+size, c)
}

// contraction returns the length of 's, 't, 're, 've, 'm, 'll or 'd at the
// beginning of s, and 0 if there is none.
func contraction(s string) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(s) > 2 {
		switch s[1:3] {
		case "re", "ve", "ll":
			return 3
		}
	}
	return 0
}

// spaces returns the length of \s+(?!\S)|\s+ at the beginning of s: all the
// white space at the end of a text, and before a word all but the last
// character, which is left for the word unless it is the only one.
func spaces(s string) int {
	end := runEnd(s, 0, space)
	if end == len(s) {
		return end
	}
	_, size := utf8.DecodeLastRuneInString(s[:end])
	if size < end {
		return end - size
	}
	return end
}

// llamaWord returns the length of the first word of s, which is not empty, by
// the pattern of Llama 3, which is also that of cl100k and, with one digit at a
// time, of Qwen 2:
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
//	 ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
func llamaWord(s string, digits int) int {
	if s[0] == '\'' {
		if n := foldedContraction(s); n > 0 {
			return n
		}
	}
	c, size := firstClass(s)
	switch {
	case c == letter:
		return runEnd(s, size, letter)
	case c == number:
		return numbers(s, digits)
	case s[0] != '\r' && s[0] != '\n' && size < len(s):
		if c, n := firstClass(s[size:]); c == letter {
			return runEnd(s, size+n, letter)
		}
	}
	if n := punctuation(s); n > 0 {
		return n
	}
	if n := lines(s); n > 0 {
		return n
	}
	return spaces(s)
}

// foldedContraction is contraction for upper and lower case. The long s, U+017F,
// is a lower case of S.
func foldedContraction(s string) int {
	if strings.HasPrefix(s[1:], "ſ") {
		return 1 + len("ſ")
	}
	lower := [3]byte{'\''}
	n := min(len(s), len(lower))
	for i := 1; i < n; i++ {
		lower[i] = s[i]
		if s[i] >= 'A' && s[i] <= 'Z' {
			lower[i] += 'a' - 'A'
		}
	}
	return contraction(string(lower[:n]))
}

// numbers returns the length of \p{N}{1,most} at the beginning of s.
func numbers(s string, most int) int {
	n := 0
	for range most {
		if n == len(s) {
			break
		}
		c, size := firstClass(s[n:])
		if c != number {
			break
		}
		n += size
	}
	return n
}

// punctuation returns the length of  ?[^\s\p{L}\p{N}]+[\r\n]* at the beginning
// of s, and 0 if there is none.
func punctuation(s string) int {
	begin := 0
	if s[0] == ' ' {
		begin = 1
	}
	end := runEnd(s, begin, other)
	if end == begin {
		return 0
	}
	for end < len(s) && (s[end] == '\r' || s[end] == '\n') {
		end++
	}
	return end
}

// lines returns the length of \s*[\r\n]+ at the beginning of s: white space up
// to the last end of a line, and 0 if there is none.
func lines(s string) int {
	return 1 + strings.LastIndexAny(s[:runEnd(s, 0, space)], "\r\n")
}

// digitRun returns the length of the first run of numbers, or of other
// characters, of s, which is not empty.
func digitRun(s string) int {
	c, n := firstClass(s)
	if c == number {
		return runEnd(s, n, number)
	}
	for n < len(s) {
		c, size := firstClass(s[n:])
		if c == number {
			break
		}
		n += size
	}
	return n
}

// eachDigit is digitRun with each number on its own.
func eachDigit(s string) int {
	if c, n := firstClass(s); c == number {
		return n
	}
	return digitRun(s)
}
