//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

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
