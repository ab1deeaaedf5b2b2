//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// add appends the instructions of a step.
func (s *sequence) add(i int, step device.Bound) {
	switch op := step.Op.(type) {
	case ops.Embedding:
		s.embed(op.N, step, seqInstruction{in: s.floats(step, 1)})
	case ops.PackedEmbedding:
		s.packedEmbed(op, step)
	case ops.Linear, ops.Linears, ops.PackedLinear:
		s.linears(i)
	case ops.MLSTM:
		s.cell(op, step)
	case ops.Norm:
		in := s.row(i, step.In[0])
		s.normed(&in, op, step, 1)
		s.rowOp(step.Out[0], in)
	case ops.AddNorm:
		in := s.sum(i, step)
		s.normed(&in, op.Norm, step, 2)
		s.keepSum(&in, step.Out[0], i)
		s.rowOp(step.Out[1], in)
	case ops.Add:
		s.rowOp(step.Out[0], s.sum(i, step))
	case ops.Gated:
		in := s.row(i, step.In[1])
		s.gated(&in, i, op.Fn, step.In[0])
		s.rowOp(step.Out[0], in)
	case ops.GatedNorm:
		in := s.row(i, step.In[1])
		s.normed(&in, op.Norm, step, 2)
		s.gated(&in, i, op.Fn, step.In[0])
		s.rowOp(step.Out[0], in)
	default:
		s.failed = true
	}
}

// at returns the memory of an input that comes from outside.
func (s *sequence) at(step device.Bound, k int) address {
	if b, ok := step.InBuffers[k].(buffer); ok && s.values[step.In[k]] == nil {
		return b.at
	}
	s.failed = true
	return 0
}

// floats is at for an input of float32.
func (s *sequence) floats(step device.Bound, k int) address {
	at := s.at(step, k)
	s.failed = s.failed || at != 0 && step.InBuffers[k].Dtype() != ops.Float32
	return at
}

// outAt returns the memory of a result that is read outside, 0 for others.
func (s *sequence) outAt(id int) address {
	for _, step := range s.steps {
		for k, out := range step.Out {
			if b, ok := step.OutBuffers[k].(buffer); ok && out == id {
				s.failed = s.failed || b.dt != ops.Float32
				return b.at
			}
		}
	}
	return 0
}

// take returns room for a vector in shared memory, aligned to 16 bytes.
func (s *sequence) take(n int32) int32 {
	n = (n + 3) / 4 * 4
	for k, f := range s.free {
		if f.to-f.from >= n {
			if s.free[k].from += n; s.free[k].from == f.to {
				s.free = slices.Delete(s.free, k, k+1)
			}
			return f.from
		}
	}
	at := s.size
	s.size += n
	return at
}

// give frees the room of a vector from the next barrier on: until then some thread
// may still read it.
func (s *sequence) give(at, n int32) {
	s.freed = append(s.freed, interval{at, at + (n+3)/4*4})
}

// emit appends an instruction. Those with barriers let freed room be taken.
func (s *sequence) emit(in seqInstruction) {
	s.list = append(s.list, in)
	if in.kind != seqProducts && in.kind != seqCell {
		return
	}
	for _, f := range s.freed {
		k := 0
		for k < len(s.free) && s.free[k].from < f.from {
			k++
		}
		s.free = slices.Insert(s.free, k, f)
	}
	s.freed = nil
	for k := len(s.free) - 1; k > 0; k-- {
		if s.free[k-1].to == s.free[k].from {
			s.free[k-1].to = s.free[k].to
			s.free = slices.Delete(s.free, k, k+1)
		}
	}
}

// release frees the vectors that no step after i reads.
func (s *sequence) release(i int) {
	step := s.steps[i]
	for _, id := range slices.Concat(step.In, step.Out) {
		if v := s.values[id]; v != nil && v.last <= i && v.there {
			s.give(v.at, v.n)
			v.there = false
		}
	}
}

// vector returns where the vector of a value is in shared memory, which the blocks
// wait for if it is not there yet.
func (s *sequence) vector(id int) int32 {
	v := s.values[id]
	if v == nil || v.n%4 != 0 || !v.there && !v.exchanged {
		s.failed = true // a vector from outside, or not whole fours
		return 0
	}
	if !v.there {
		v.at, v.there, v.awaited = s.take(v.n), true, true
		s.emit(seqInstruction{kind: seqAwait, n: v.n, words: v.words, to: v.at})
	}
	return v.at
}

// exchange returns room for the words of a value, a multiple of 16 bytes.
func (s *sequence) exchange(id int) address {
	v := s.values[id]
	v.exchanged, v.words = true, s.words
	s.words += address(8*v.n+15) / 16 * 16
	return v.words
}

// seqWidest is how many numbers a vector has at most that an instruction computes.
const seqWidest = 4 * seqThreads * 4

func newRow(n int32) seqInstruction {
	return seqInstruction{kind: seqRow, n: n, from: -1, more: -1, sum: -1, gate: -1}
}

// operand returns a value that step i reads: its words, if nothing else reads the
// value, or its vector.
func (s *sequence) operand(i, id int) (words address, vector int32) {
	if v := s.values[id]; v != nil && v.exchanged && !v.there && v.last <= i && v.n%4 == 0 {
		v.awaited = true
		return v.words, -1
	}
	return 0, s.vector(id)
}

// row is an instruction that begins with a value.
func (s *sequence) row(i, id int) seqInstruction {
	in := newRow(0)
	in.words, in.from = s.operand(i, id)
	return in
}

// sum is an instruction that begins with the sum of the first two inputs of step i.
func (s *sequence) sum(i int, step device.Bound) seqInstruction {
	in := s.row(i, step.In[1])
	in.more = s.vector(step.In[0])
	return in
}

// keepSum lets an instruction keep the sum with which it begins as a value, if a step
// after i reads it or if it is read outside.
func (s *sequence) keepSum(in *seqInstruction, id, i int) {
	s.failed = s.failed || s.outAt(id) != 0
	v := s.values[id]
	v.at, v.there = s.take(v.n), true
	in.sum = v.at
}

// normed adds a norm; weight is the input of the step that is its weight.
func (s *sequence) normed(in *seqInstruction, op ops.Norm, step device.Bound, weight int) {
	s.failed = s.failed || op.N != 1
	in.groups, in.centered, in.residual, in.eps = int32(op.Groups), flag(op.Centered), flag(op.Residual), float32(op.Eps)
	if op.Weight {
		in.in = s.floats(step, weight)
	}
}

// gated adds the gate by a value.
func (s *sequence) gated(in *seqInstruction, i int, fn ops.Activation, id int) {
	in.function = activations[fn]
	in.gateWords, in.gate = s.operand(i, id)
}

// rowOp appends an instruction that every block executes by itself, the result of
// which is the value id.
func (s *sequence) rowOp(id int, in seqInstruction) {
	v := s.values[id]
	s.failed = s.failed || v.n%4 != 0 || v.n > seqWidest
	v.at, v.there = s.take(v.n), true
	in.n, in.to = v.n, v.at
	s.emit(in)
	if out := s.outAt(id); out != 0 {
		s.emit(seqInstruction{kind: seqKeep, n: v.n, from: v.at, out: out})
	}
}

// embed appends what reads a row of a table.
func (s *sequence) embed(rows int, step device.Bound, in seqInstruction) {
	s.failed = s.failed || rows != 1
	in.kind, in.ids = seqEmbed, s.at(step, 0)
	s.rowOp(step.Out[0], in)
}

func (s *sequence) packedEmbed(op ops.PackedEmbedding, step device.Bound) {
	in := seqInstruction{in: s.at(step, 1)}
	switch op.Format {
	case ops.BF16:
		in.format = seqHalves
	case ops.Int8:
		in.format, in.scales = seqBytes, s.at(step, 2)
	default:
		s.failed = true
	}
	s.embed(op.N, step, in)
}

// wordsOf returns the words of a value that blocks exchange.
func (s *sequence) wordsOf(id int) address {
	v := s.values[id]
	if v == nil || !v.exchanged {
		s.failed = true
		return 0
	}
	return v.words
}

func (s *sequence) cell(op ops.MLSTM, step device.Bound) {
	const mostKeys = seqThreads
	if s.failed = s.failed || op.B*op.T != 1 || op.Resets || op.DHV%seqColumns != 0 || op.DQK%2 != 0 || op.DQK > mostKeys; s.failed {
		return
	}
	c := seqCellArgs{q: s.wordsOf(step.In[0]), k: s.wordsOf(step.In[1]), v: s.wordsOf(step.In[2]), i: s.wordsOf(step.In[3]), f: s.wordsOf(step.In[4]),
		heads: int32(op.NH), dqk: int32(op.DQK), dhv: int32(op.DHV), scaleQ: float32(op.ScaleQ), scaleK: float32(op.ScaleK), eps: float32(op.Eps)}
	if op.Form == ops.Parallel {
		c.begin = math.Inf(-1)
	}
	if op.State {
		c.c, c.keys, c.m = s.floats(step, 5), s.floats(step, 6), s.floats(step, 7)
	}
	c.toC, c.toKeys, c.toM = s.outAt(step.Out[1]), s.outAt(step.Out[2]), s.outAt(step.Out[3])
	s.failed = s.failed || c.toC == 0 || c.toKeys == 0 || c.toM == 0 || s.outAt(step.Out[0]) != 0
	kept, room := int32(op.NH*op.DQK+op.NH), int32(2*op.DQK+16)
	c.to, c.room = s.take(kept), s.take(room)
	c.h = s.exchange(step.Out[0])
	index := int32(len(s.cells))
	s.cells = append(s.cells, c)
	s.emit(seqInstruction{kind: seqCell, index: index})
	freed := s.freed
	s.freed = nil
	s.give(c.to, kept)
	s.give(c.room, room)
	s.flushes = append(s.flushes, seqPending{index, s.values[step.Out[0]], s.freed})
	s.freed = freed
}

// flush appends the FLUSH of those cells for whose results the blocks have waited before
// the instruction just appended, which has a barrier: they have then read the old state
// in all blocks.
func (s *sequence) flush() {
	var later []seqPending
	for _, f := range s.flushes {
		if !f.h.awaited {
			later = append(later, f)
			continue
		}
		s.emit(seqInstruction{kind: seqFlush, index: f.index})
		s.freed = append(s.freed, f.free...)
	}
	s.flushes = later
}
