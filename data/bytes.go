package data

import "unicode/utf8"

// Bytes is the tokenizer whose ids are the 256 byte values. It is lossless:
// Decode returns exactly the text that Encode was given, valid UTF-8 or not.
type Bytes struct{}

// Encode returns the bytes of text, one id each.
func (Bytes) Encode(text string) []int {
	ids := make([]int, len(text))
	for i := range len(text) {
		ids[i] = int(text[i])
	}
	return ids
}

// Decode returns the string of the given bytes, which is valid UTF-8 only when
// the bytes are. An id outside 0 to 255 becomes U+FFFD.
func (Bytes) Decode(ids []int) string {
	text := make([]byte, 0, len(ids))
	for _, id := range ids {
		if id < 0 || id > 255 {
			text = utf8.AppendRune(text, utf8.RuneError)
			continue
		}
		text = append(text, byte(id))
	}
	return string(text)
}

// Size returns 256.
func (Bytes) Size() int { return 256 }
