package bpe

import "unicode/utf8"

// The files spell each byte as a printable character, so that a token is a
// string in JSON: printable Latin-1 stands for itself, and the other bytes take
// the characters from U+0100 on in their order.

// alphabetEnd is the first character after the alphabet.
const alphabetEnd = 0x100 + 68

var (
	charOfByte [256]rune
	byteOfChar [alphabetEnd]int16 // -1 is a character outside the alphabet
)

func init() {
	for i := range byteOfChar {
		byteOfChar[i] = -1
	}
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae) {
			r = next
			next++
		}
		charOfByte[b] = r
		byteOfChar[r] = int16(b)
	}
}

// spell returns the spelling of bytes in the alphabet.
func spell(text string) string {
	name := make([]byte, 0, 2*len(text))
	for i := range len(text) {
		name = utf8.AppendRune(name, charOfByte[text[i]])
	}
	return string(name)
}

// unspell returns the bytes that a token of the file stands for. A token with a
// character outside the alphabet stands for itself: it was put into the
// vocabulary by hand, and no merge leads to it.
func unspell(name string) string {
	text := make([]byte, 0, len(name))
	for _, r := range name {
		if r >= alphabetEnd || byteOfChar[r] < 0 {
			return name
		}
		text = append(text, byte(byteOfChar[r]))
	}
	return string(text)
}
