package bpe

import "math/bits"

// merge is what becomes of two neighbouring tokens: its rank in the list of
// merges, and the new token. The rank is in the upper half, so that the smaller
// of two merges is the one to make first.
type merge uint64

// noMerge says that two tokens stay apart. It is larger than all merges.
const noMerge = ^merge(0)

func newMerge(rank int, id uint32) merge { return merge(rank)<<32 | merge(id) }

func (m merge) rank() uint64 { return uint64(m >> 32) }
func (m merge) id() uint32   { return uint32(m) }

// pairTable finds the merge of a pair of ids. It is a hash table with open
// addressing, at most half full: a lookup is the innermost step of encoding, and
// a Go map takes several times as long.
type pairTable struct {
	slots []pairSlot // a power of two
	shift int        // 64 - log2(len(slots))
}

type pairSlot struct {
	pair  uint64
	merge merge // noMerge is an empty slot
}

// newPairTable makes a table for n pairs.
func newPairTable(n int) pairTable {
	log := bits.Len(uint(2*n + 1))
	t := pairTable{slots: make([]pairSlot, 1<<log), shift: 64 - log}
	for i := range t.slots {
		t.slots[i].merge = noMerge
	}
	return t
}

// slot returns where a pair is, or the empty slot where it belongs.
func (t *pairTable) slot(a, b uint32) *pairSlot {
	pair := uint64(a)<<32 | uint64(b)
	// Multiplying by 2^64 over the golden ratio spreads neighbouring ids.
	i := int(pair * 0x9e3779b97f4a7c15 >> t.shift)
	for {
		s := &t.slots[i]
		if s.pair == pair || s.merge == noMerge {
			return s
		}
		i = (i + 1) & (len(t.slots) - 1)
	}
}

// put sets the merge of a pair.
func (t *pairTable) put(a, b uint32, m merge) {
	*t.slot(a, b) = pairSlot{uint64(a)<<32 | uint64(b), m}
}

// find returns the merge of a pair, noMerge if there is none.
func (t *pairTable) find(a, b uint32) merge {
	return t.slot(a, b).merge
}
