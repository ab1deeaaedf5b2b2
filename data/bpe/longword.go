package bpe

import "slices"

// candidate is a merge in the queue of a long word: its rank in the upper 24
// bits, and where the left token begins in the lower 40. The smallest is the
// next to make: the first in the list of merges, the leftmost of equals.
type candidate uint64

const (
	placeBits = 40
	maxMerges = 1 << (64 - placeBits)
)

func newCandidate(m merge, at int) candidate {
	return candidate(m.rank()<<placeBits | uint64(at))
}

func (c candidate) at() int      { return int(c & (1<<placeBits - 1)) }
func (c candidate) rank() uint64 { return uint64(c >> placeBits) }

// long does what short does in time n log n. Tokens stay where they begin in
// the word, and lists of neighbours lead over the gaps.
func (m *merger) long(pairs *pairTable) []uint32 {
	n := len(m.ids)
	m.merges = append(m.merges, noMerge) // the last token has none after it
	m.prev, m.next = slices.Grow(m.prev[:0], n), slices.Grow(m.next[:0], n)
	m.queue = slices.Grow(m.queue[:0], n)
	for i := range n {
		m.prev = append(m.prev, i-1)
		m.next = append(m.next, i+1)
		m.offer(i)
	}
	for len(m.queue) > 0 {
		c := m.pop()
		at := c.at()
		if m.merges[at] == noMerge || m.merges[at].rank() != c.rank() {
			continue // one of the two has been merged meanwhile
		}
		m.join(at, pairs)
	}
	kept := 0
	for i := 0; i < n; i = m.next[i] {
		m.ids[kept] = m.ids[i]
		kept++
	}
	return m.ids[:kept]
}

// join makes the merge of the token at a place and the one after it.
func (m *merger) join(at int, pairs *pairTable) {
	m.ids[at] = m.merges[at].id()
	gone := m.next[at]
	m.merges[gone] = noMerge
	after := m.next[gone]
	m.next[at] = after
	m.merges[at] = noMerge
	if after < len(m.ids) {
		m.prev[after] = at
		m.merges[at] = pairs.find(m.ids[at], m.ids[after])
		m.offer(at)
	}
	if before := m.prev[at]; before >= 0 {
		m.merges[before] = pairs.find(m.ids[before], m.ids[at])
		m.offer(before)
	}
}

// offer puts the merge of a place into the queue, if there is one. The queue is
// a binary heap; package container/heap would allocate for each candidate.
func (m *merger) offer(at int) {
	if m.merges[at] == noMerge {
		return
	}
	m.queue = append(m.queue, newCandidate(m.merges[at], at))
	q := m.queue
	i := len(q) - 1
	for i > 0 && q[i] < q[(i-1)/2] {
		q[i], q[(i-1)/2] = q[(i-1)/2], q[i]
		i = (i - 1) / 2
	}
}

// pop takes the smallest candidate out of the queue, which is not empty.
func (m *merger) pop() candidate {
	top := m.queue[0]
	last := len(m.queue) - 1
	m.queue[0] = m.queue[last]
	m.queue = m.queue[:last]
	q := m.queue
	for i := 0; ; {
		child := 2*i + 1
		if child+1 < last && q[child+1] < q[child] {
			child++
		}
		if child >= last || q[i] <= q[child] {
			return top
		}
		q[i], q[child] = q[child], q[i]
		i = child
	}
}

// forgetLongWord gives back the memory of a word so long that the next is not
// likely to need it.
func (m *merger) forgetLongWord() {
	if cap(m.ids) > 1<<16 {
		*m = merger{}
	}
}
