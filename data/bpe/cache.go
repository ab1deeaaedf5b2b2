package bpe

import "hash/maphash"

// Texts repeat their words. The cache keeps the tokens of words that are short
// enough for a slot of one line of memory; a word that meets another in its slot
// takes its place.

const (
	cacheSlots   = 1 << 14 // a power of two; 1 MiB in all
	maxCacheWord = 30      // bytes
	maxCacheIDs  = 8
)

// wordCache remembers the tokens of words.
type wordCache struct {
	slots []cacheSlot
}

type cacheSlot struct {
	size  uint8 // of the word in bytes; 0 is an empty slot
	count uint8 // of the ids
	word  [maxCacheWord]byte
	ids   [maxCacheIDs]uint32
}

// cacheSeed is of no consequence for the tokens.
var cacheSeed = maphash.MakeSeed()

// slot returns where a word is or belongs, nil for a word that is too long.
func (c *wordCache) slot(word string) *cacheSlot {
	if len(word) > maxCacheWord {
		return nil
	}
	if c.slots == nil {
		c.slots = make([]cacheSlot, cacheSlots)
	}
	return &c.slots[maphash.String(cacheSeed, word)&(cacheSlots-1)]
}

// has reports whether the slot, which may be nil, has the tokens of a word.
func (s *cacheSlot) has(word string) bool {
	return s != nil && s.size > 0 && string(s.word[:s.size]) == word
}

// put keeps the tokens of a word in the slot, which may be nil.
func (s *cacheSlot) put(word string, ids []uint32) {
	if s == nil || len(ids) > maxCacheIDs {
		return
	}
	s.size, s.count = uint8(len(word)), uint8(len(ids))
	copy(s.word[:], word)
	copy(s.ids[:], ids)
}
