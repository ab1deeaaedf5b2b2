package bpe

// matcher finds the leftmost of several texts in a text, of those that begin at
// the same byte the longest. It is a tree of bytes, with the children of a node
// in a list; the zero matcher finds nothing.
type matcher struct {
	nodes []matchNode // the first is the root
	first [256]bool   // the bytes that begin a text
}

type matchNode struct {
	value          byte
	which          int32 // the text that ends here, -1 if none does
	child, sibling int32 // 0 is none
}

// add adds a text, which is not empty and which find returns as this number. Of
// equal texts the first stays.
func (m *matcher) add(text string, which int) {
	if m.nodes == nil {
		m.nodes = []matchNode{{which: -1}}
	}
	m.first[text[0]] = true
	at := int32(0)
	for i := range len(text) {
		next := m.child(at, text[i])
		if next == 0 {
			next = int32(len(m.nodes))
			m.nodes = append(m.nodes, matchNode{value: text[i], which: -1, sibling: m.nodes[at].child})
			m.nodes[at].child = next
		}
		at = next
	}
	if m.nodes[at].which < 0 {
		m.nodes[at].which = int32(which)
	}
}

// child returns the child of a node for a byte, 0 if there is none.
func (m *matcher) child(at int32, value byte) int32 {
	next := m.nodes[at].child
	for next != 0 && m.nodes[next].value != value {
		next = m.nodes[next].sibling
	}
	return next
}

// find returns where the next text in s from byte i on begins and ends, and
// which it is, -1 if there is none.
func (m *matcher) find(s string, i int) (start, end, which int) {
	if m.nodes == nil {
		return 0, 0, -1
	}
	for ; i < len(s); i++ {
		if !m.first[s[i]] {
			continue
		}
		if end, which := m.longest(s, i); which >= 0 {
			return i, end, which
		}
	}
	return 0, 0, -1
}

// longest returns the end of the longest text that begins at byte i of s, and
// which it is, -1 if there is none.
func (m *matcher) longest(s string, i int) (end, which int) {
	which = -1
	at := int32(0)
	for ; i < len(s); i++ {
		if at = m.child(at, s[i]); at == 0 {
			break
		}
		if n := m.nodes[at].which; n >= 0 {
			end, which = i+1, int(n)
		}
	}
	return end, which
}
