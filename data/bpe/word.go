package bpe

import "slices"

// longWord is the number of bytes from which a heap finds the next merge faster
// than looking at all.
const longWord = 128

// merger merges the bytes of a word. It keeps its memory from word to word.
type merger struct {
	ids    []uint32
	merges []merge // merges[i] is that of ids[i] and the token after it

	// For long words, where a merged token leaves a gap behind.
	prev, next []int
	queue      []candidate
}

// merge returns the tokens of a word. They are overwritten by the next call.
func (m *merger) merge(word string, bytes *byteTokens, pairs *pairTable) []uint32 {
	m.ids, m.merges = slices.Grow(m.ids[:0], len(word)), slices.Grow(m.merges[:0], len(word))
	for i := range len(word) {
		id := bytes.of[word[i]]
		if id == noToken {
			m.ids = bytes.appendMissing(m.ids, word, i)
			continue
		}
		m.ids = append(m.ids, id)
	}
	for i := 1; i < len(m.ids); i++ {
		m.merges = append(m.merges, pairs.find(m.ids[i-1], m.ids[i]))
	}
	if len(m.ids) < longWord {
		return m.short(pairs)
	}
	return m.long(pairs)
}

// short makes the first merge of all, the leftmost of equals, until none is left.
func (m *merger) short(pairs *pairTable) []uint32 {
	ids, merges := m.ids, m.merges
	for {
		best, at := noMerge, 0
		for i, x := range merges {
			if x < best {
				best, at = x, i
			}
		}
		if best == noMerge {
			return ids
		}
		ids[at] = best.id()
		ids = append(ids[:at+1], ids[at+2:]...)
		merges = append(merges[:at], merges[at+1:]...)
		if at > 0 {
			merges[at-1] = pairs.find(ids[at-1], ids[at])
		}
		if at < len(merges) {
			merges[at] = pairs.find(ids[at], ids[at+1])
		}
	}
}
