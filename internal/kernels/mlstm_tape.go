package kernels

// The memories between the chunks of an mLSTM are on its tape if there is one, so that
// the derivative need not compute them again: those of one head of one sequence after
// the other, then the stabilisers in the same order, then the denominators of all steps.

// TapeLen returns the number of elements on a tape: none if there is only one chunk.
func (s MLSTM) TapeLen() int {
	between := s.chunks() - 1
	if between == 0 {
		return 0
	}
	return s.B * s.NH * (between*(s.size()+s.DQK+1) + s.T)
}

// mlstmTape is a head's part of a tape: memories and stabilisers before every chunk but
// the first, and den of every step. All are nil if there is no tape.
type mlstmTape[F Float] struct{ memories, ms, dens []F }

// tapeOf returns the part of an item.
func tapeOf[F Float](s MLSTM, tape []F, item int) (t mlstmTape[F]) {
	if len(tape) == 0 {
		return t
	}
	n, per := s.chunks()-1, s.size()+s.DQK
	take := func(each int) []F {
		part := tape[item*each:][:each]
		tape = tape[s.B*s.NH*each:]
		return part
	}
	return mlstmTape[F]{take(n * per), take(n), take(s.T)}
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

// keepDen writes den of the steps from t0 on.
func (t mlstmTape[F]) keepDen(t0 int, den []F) {
	if t.written() {
		copy(t.dens[t0:], den)
	}
}
