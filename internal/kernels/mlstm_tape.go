package kernels

// The memories between the chunks of an mLSTM are on its tape if there is one, so that
// the derivative need not compute them again: those of one head of one sequence after
// the other, then the stabilisers in the same order.

// TapeLen returns the number of elements on a tape: none if there is only one chunk.
func (s MLSTM) TapeLen() int { return s.B * s.NH * (s.chunks() - 1) * (s.size() + s.DQK + 1) }

// mlstmTape is a head's part of a tape: memories and stabilisers before every chunk but
// the first. Both are nil if there is no tape.
type mlstmTape[F Float] struct{ memories, ms []F }

// tapeOf returns the part of an item.
func tapeOf[F Float](s MLSTM, tape []F, item int) (t mlstmTape[F]) {
	if tape == nil {
		return t
	}
	n, per := s.chunks()-1, s.size()+s.DQK
	memories, ms := tape[:s.B*s.NH*n*per], tape[s.B*s.NH*n*per:]
	return mlstmTape[F]{memories[item*n*per:][:n*per], ms[item*n:][:n]}
}

// written reports whether there is a tape.
func (t mlstmTape[F]) written() bool { return t.memories != nil }

// memory returns the memory before chunk k, which is not the first.
func (t mlstmTape[F]) memory(s MLSTM, k int) mlstmMemory[F] { return memoryAt(s, t.memories, k-1) }

// keep writes the memory before chunk k and its stabiliser.
func (t mlstmTape[F]) keep(s MLSTM, k int, m float64, mem mlstmMemory[F]) {
	if k > 0 && t.written() {
		t.memory(s, k).set(mem)
		t.ms[k-1] = F(m)
	}
}
