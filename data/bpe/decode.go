package bpe

import "unicode/utf8"

// Decode returns the text of ids, including special tokens. It returns exactly
// the text that Encode was given, valid UTF-8 or not, except for changes that
// the file requires; see the package comment. An id without a token becomes
// U+FFFD.
func (t *Tokenizer) Decode(ids []int) string {
	return string(t.AppendDecode(nil, ids))
}

// AppendDecode appends the result of Decode to text.
func (t *Tokenizer) AppendDecode(text []byte, ids []int) []byte {
	for _, id := range ids {
		if token, ok := t.Token(id); ok {
			text = append(text, token...)
		} else {
			text = utf8.AppendRune(text, utf8.RuneError)
		}
	}
	return text
}

// DecodeWithoutSpecial is like Decode, but omits special tokens.
func (t *Tokenizer) DecodeWithoutSpecial(ids []int) string {
	special := make(map[int]bool)
	for _, id := range t.Special() {
		special[id] = true
	}
	kept := make([]int, 0, len(ids))
	for _, id := range ids {
		if !special[id] {
			kept = append(kept, id)
		}
	}
	return t.Decode(kept)
}
