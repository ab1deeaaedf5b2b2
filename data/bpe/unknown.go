package bpe

import "github.com/pkg/errors"

// noToken says that a byte has no token.
const noToken = ^uint32(0)

// byteTokens are the tokens that words begin as.
type byteTokens struct {
	of      [256]uint32 // noToken for a byte without one
	instead []uint32    // what such a byte becomes
	fuse    bool        // a run of them becomes it once
}

// neverInUTF8 reports whether valid UTF-8 never has a byte. Vocabularies that are
// learned from texts, such as that of GPT-NeoX, often lack these thirteen.
func neverInUTF8(b int) bool { return b == 0xc0 || b == 0xc1 || b >= 0xf5 }

// setBytes finds the token of each byte, and what those become that have none:
// the unknown token if the file has one, else the tokens of U+FFFD. Without
// either, text would be lost.
func (t *Tokenizer) setBytes(m model) error {
	missing := -1
	for b := range t.bytes.of {
		id, ok := m.vocab[string(charOfByte[b])]
		if !ok {
			id = noToken
			if missing < 0 || neverInUTF8(missing) {
				missing = b
			}
		}
		t.bytes.of[b] = id
	}
	t.bytes.fuse = m.settings.FuseUnknown
	if unknown := m.settings.Unknown; unknown != nil {
		id, ok := m.vocab[*unknown]
		if !ok {
			return errors.Errorf("its unk_token %.40q is not in the vocabulary: add it, or set it to null", *unknown)
		}
		t.bytes.instead = []uint32{id}
	}
	if missing < 0 {
		return nil
	}
	if m.settings.ByteFallback {
		return errors.Errorf("byte_fallback is not supported for a vocabulary that has no token for the byte 0x%02x: use a byte-level vocabulary with all 256 bytes", missing)
	}
	if t.bytes.instead != nil {
		return nil
	}
	if !neverInUTF8(missing) {
		return errors.Errorf("the vocabulary has no token for the byte 0x%02x (%q in the file), so that text would be lost: use a byte-level vocabulary with all bytes of UTF-8", missing, charOfByte[missing])
	}
	for _, b := range []byte("\ufffd") {
		t.bytes.instead = append(t.bytes.instead, t.bytes.of[b])
	}
	return nil
}

// appendMissing appends what byte i of a word becomes, which has no token.
func (b *byteTokens) appendMissing(ids []uint32, word string, i int) []uint32 {
	if b.fuse && i > 0 && b.of[word[i-1]] == noToken {
		return ids
	}
	return append(ids, b.instead...)
}
