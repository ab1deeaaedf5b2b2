package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// column is a value as columns of a matrix: input k of a joint.
type column struct {
	device.Joint
	k int
}

// size returns the number of elements of float32 that the matrix takes.
func (c column) size() int {
	return elements(Value{Dtype: ops.BFloat16, Shape: ops.Shape{c.Rows, c.LD}})
}

// join finds what operations read or write as one, so that they need not copy it: values
// that are columns of a matrix, and results that follow one another.
func (l *Layout) join(given []ID) {
	d, ok := l.Device.(device.Joiner)
	if !ok {
		return
	}
	r := &rewriter{Plan: l.Plan, given: given}
	r.index()
	for i, s := range r.Steps {
		half := r.halfOf(s)
		if j, ok := d.Joins(s.Op, half); ok && !slices.ContainsFunc(j.In, func(k int) bool { return !r.columns(d, s.In[k], i) }) {
			l.joined[i] = true
			for k, in := range j.In {
				l.columns[s.In[in]] = column{j, k}
			}
		}
		if out := d.Writes(s.Op); !slices.ContainsFunc(out, func(k int) bool { return !l.fits(s.Out[k], given) }) {
			l.consecutive[i] = out
		}
	}
}

// rows finds the copies that operations read as the rows of one matrix: none of which is in
// two lists.
func (l *Layout) rows() {
	d, ok := l.Device.(device.Joiner)
	if !ok {
		return
	}
	free := make(map[ID]bool)
	for _, id := range l.Copies {
		free[id] = true
	}
	for _, s := range l.Plan.Steps {
		var list []ID
		for _, k := range d.Rows(s.Op) {
			list = append(list, s.In[k])
		}
		if list == nil || slices.ContainsFunc(list, func(id ID) bool { return !free[id] }) {
			continue
		}
		for _, id := range list {
			free[id] = false
		}
		l.Rows = append(l.Rows, list)
	}
}

// columns reports whether a value that step i reads can be columns of a matrix: if no
// other step reads it, and its own can write it so.
func (r *rewriter) columns(d device.Joiner, id ID, i int) bool {
	w := r.writer[id]
	if w < 0 || !r.readBy(id, i) || r.Values[id].Dtype != ops.BFloat16 {
		return false
	}
	s := r.Steps[w]
	return d.WritesColumns(s.Op, r.halfOf(s), slices.Index(s.Out, id))
}

// fits reports whether a value has a place in an arena, and another may begin where it
// ends.
func (l *Layout) fits(id ID, given []ID) bool {
	v := l.Plan.Values[id]
	n := elements(v)
	return !slices.Contains(given, id) && n == l.round(arenaType(v.Dtype), n)
}

// joinBlocks makes one block of the columns of each matrix, and of results that follow
// one another.
func (l *Layout) joinBlocks(blocks map[ID]*block) {
	for i, s := range l.Plan.Steps {
		if l.joined[i] {
			l.joinColumns(i, blocks)
		}
		for k, out := range l.consecutive[i] {
			if k > 0 {
				blocks[s.Out[l.consecutive[i][0]]].append(blocks[s.Out[out]])
				blocks[s.Out[out]] = blocks[s.Out[l.consecutive[i][0]]]
			}
		}
	}
}

// joinColumns makes one block of the columns that step i reads.
func (l *Layout) joinColumns(i int, blocks map[ID]*block) {
	whole := &block{first: i, last: i}
	for _, id := range l.Plan.Steps[i].In {
		if c, ok := l.columns[id]; ok {
			whole.size = l.round(ops.Float32, c.size())
			whole.first = min(whole.first, l.Plan.Values[id].First)
			whole.parts = append(whole.parts, part{to: &l.Offset[id]})
			blocks[id] = whole
		}
	}
}

// append lets another block begin where b ends.
func (b *block) append(next *block) {
	for _, p := range next.parts {
		b.parts = append(b.parts, part{b.size + p.from, p.to})
	}
	b.size += next.size
	b.first, b.last = min(b.first, next.first), max(b.last, next.last)
}

// halfOf returns how the operands of a step are stored.
func (l *Layout) halfOf(i int) device.Half {
	h := l.Plan.halfOf(l.Plan.Steps[i])
	h.Joined, h.Consecutive = l.joined[i], l.consecutive[i] != nil
	return h
}
