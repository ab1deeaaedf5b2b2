package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// column is a value as columns of a joint: input k of it.
type column struct {
	device.Joint
	k int
}

// size returns the number of elements of float32 that the matrix takes.
func (c column) size() int {
	return elements(Value{Dtype: ops.BFloat16, Shape: ops.Shape{c.Rows, c.LD}})
}

// join finds the values that lie as columns of a matrix, so that the operation that reads
// them need not copy them: those of joints that no other operation reads, and that their
// operations can write so.
func (l *Layout) join(given []ID) {
	d, ok := l.Device.(device.Joiner)
	if !ok {
		return
	}
	r := &rewriter{Plan: l.Plan, given: given}
	r.index()
	for i, s := range r.Steps {
		j, ok := d.Joins(s.Op, r.halfOf(s))
		if !ok || slices.ContainsFunc(j.In, func(k int) bool { return !r.columns(d, s.In[k], i) }) {
			continue
		}
		l.joined[i] = true
		for k, in := range j.In {
			l.columns[s.In[in]] = column{j, k}
		}
	}
}

// columns reports whether a value that step i reads can be columns of a matrix.
func (r *rewriter) columns(d device.Joiner, id ID, i int) bool {
	w := r.writer[id]
	if w < 0 || !r.readBy(id, i) || r.Values[id].Dtype != ops.BFloat16 {
		return false
	}
	s := r.Steps[w]
	return d.WritesColumns(s.Op, r.halfOf(s), slices.Index(s.Out, id))
}

// joinBlocks lets the columns of each matrix be one block.
func (l *Layout) joinBlocks(blocks map[ID]*block) {
	for i, s := range l.Plan.Steps {
		if !l.joined[i] {
			continue
		}
		whole := &block{first: i, last: i}
		for _, id := range s.In {
			c, ok := l.columns[id]
			if !ok {
				continue
			}
			whole.size = l.round(ops.Float32, c.size())
			whole.first = min(whole.first, l.Plan.Values[id].First)
			whole.to = append(whole.to, &l.Offset[id])
			blocks[id] = whole
		}
	}
}

// halfOf returns how the operands of a step are stored.
func (l *Layout) halfOf(i int) device.Half {
	h := l.Plan.halfOf(l.Plan.Steps[i])
	h.Joined = l.joined[i]
	return h
}
