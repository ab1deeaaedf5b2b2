//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
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
