package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// arranged returns the plan as a device runs it: with composites in the place of
// operations that the device has fused, and with results computed again in the
// backward pass that the device would rather not keep. Values keep their IDs.
func (p *Plan) arranged(d device.Device, given []ID) *Plan {
	f, fuses := d.(device.Fuser)
	k, keeps := d.(device.Keeper)
	if !fuses && !keeps {
		return p
	}
	r := &rewriter{Plan: &Plan{Values: slices.Clone(p.Values), Steps: slices.Clone(p.Steps)}, fuser: f, given: given}
	if keeps {
		r.tapes(k)
	}
	if fuses {
		r.fuseLayers()
		r.recompute()
		r.recomputeEntries()
		r.fuse()
		r.twins(d)
	}
	r.measure()
	return r.Plan
}

// tapes gives mLSTM cells and their derivatives the tapes that the device keeps.
func (r *rewriter) tapes(d device.Keeper) {
	r.index()
	for i, s := range r.Steps {
		cell, ok := s.Op.(ops.MLSTM)
		if !ok {
			continue
		}
		j, n := r.derivative(i, cell), d.Tape(cell, s.Dtype)
		if j < 0 || n == 0 {
			continue
		}
		tape := ID(len(r.Values))
		r.Values = append(r.Values, Value{Dtype: s.Dtype, Shape: ops.Shape{n}})
		cell.Tape = n
		forward, back := &r.Steps[i], &r.Steps[j]
		forward.Op, forward.Out = cell, append(slices.Clone(s.Out), tape)
		grad := back.Op.(ops.MLSTMGrad)
		grad.MLSTM = cell
		back.Op = grad
		back.In = slices.Insert(slices.Clone(back.In), slices.Index(back.In, s.Out[0])+1, tape)
	}
}

// derivative returns the step with the derivative of the mLSTM cell of step i, which
// reads the same inputs and the cell's h, −1 if there is none.
func (r *rewriter) derivative(i int, cell ops.MLSTM) int {
	s := r.Steps[i]
	operands := s.In
	if cell.Resets {
		operands = operands[:len(operands)-1]
	}
	for _, j := range r.readers[s.Out[0]] {
		grad, ok := r.Steps[j].Op.(ops.MLSTMGrad)
		if ok && grad.MLSTM == cell && slices.Equal(r.Steps[j].In[:len(operands)+1], append(slices.Clone(operands), s.Out[0])) {
			return j
		}
	}
	return -1
}

// rewriter changes the steps of a plan.
type rewriter struct {
	*Plan
	fuser device.Fuser
	given []ID
	// writer is the step that writes each value, −1 for none; readers are the
	// steps that read it, in ascending order.
	writer  []int
	readers [][]int
}

// index finds the writers and readers of all values.
func (r *rewriter) index() {
	more := len(r.Values) - len(r.writer)
	r.writer, r.readers = append(r.writer, make([]int, more)...), append(r.readers, make([][]int, more)...)
	for id := range r.writer {
		r.writer[id], r.readers[id] = -1, r.readers[id][:0]
	}
	for i, s := range r.Steps {
		for _, id := range s.In {
			if !slices.Contains(r.readers[id], i) {
				r.readers[id] = append(r.readers[id], i)
			}
		}
		for _, id := range s.Out {
			r.writer[id] = i
		}
	}
}

// hidden reports whether only the steps of the plan see a value.
func (r *rewriter) hidden(id ID) bool {
	v := r.Values[id]
	return !v.Input && !v.Kept && !slices.Contains(r.given, id)
}

// readBy reports whether a hidden value is read by the given steps alone.
func (r *rewriter) readBy(id ID, steps ...int) bool {
	return r.hidden(id) && slices.Equal(r.readers[id], steps)
}

// inputs reports whether all values are external.
func (r *rewriter) inputs(ids []ID) bool {
	return !slices.ContainsFunc(ids, func(id ID) bool { return !r.Values[id].Input })
}

// replace puts a step in the place of step at, and removes the steps in old.
func (r *rewriter) replace(old []int, at int, op ops.Op, in, out []ID) {
	s := Step{Op: op, Dtype: r.Steps[at].Dtype, In: in, Out: out, Origin: r.Steps[at].Origin}
	steps := r.Steps[:0]
	for i, was := range r.Steps {
		switch {
		case i == at:
			steps = append(steps, s)
		case !slices.Contains(old, i):
			steps = append(steps, was)
		}
	}
	r.Steps = steps
	r.index()
}

// measure sets the lifetimes of all values.
func (r *rewriter) measure() {
	r.index()
	for id := range r.Values {
		v := &r.Values[id]
		if w := r.writer[id]; w >= 0 {
			v.First, v.Last = w, w
		} else if !v.Input {
			v.Gone = true
		}
		if n := len(r.readers[id]); n > 0 {
			v.Last = r.readers[id][n-1]
		}
	}
}

// farApart is the number of steps between two readers of a value from which on
// the value is computed again for the second.
const farApart = 8

// recompute repeats the steps that the device would rather repeat than keep
// their results for a backward pass. The inputs of such a step must be there
// then anyway.
func (r *rewriter) recompute() {
	r.index()
	for i := len(r.Steps) - 1; i >= 0; i-- {
		s := r.Steps[i]
		if len(s.Out) != 1 || !r.hidden(s.Out[0]) || !r.fuser.Recomputes(s.Op) {
			continue
		}
		if late := r.late(i); late >= 0 {
			r.repeat(i, late)
		}
	}
}

// late returns the first reader of a step's result that comes long after the
// others, −1 if there is none.
func (r *rewriter) late(i int) int {
	last, widest, late := i, farApart, -1
	for _, reader := range r.readers[r.Steps[i].Out[0]] {
		if reader-last > widest {
			widest, late = reader-last, reader
		}
		last = reader
	}
	for _, id := range r.Steps[i].In {
		n := len(r.readers[id])
		if late >= 0 && r.hidden(id) && r.readers[id][n-1] < late {
			return -1
		}
	}
	return late
}

// repeat inserts a copy of step i before step at, whose results take the places of
// the hidden ones of the first from there on.
func (r *rewriter) repeat(i, at int) {
	s := r.Steps[i]
	s.Out = slices.Clone(s.Out)
	for k, id := range s.Out {
		again := ID(len(r.Values))
		r.Values = append(r.Values, r.Values[id])
		r.Values[again].Kept = false
		s.Out[k] = again
		if r.hidden(id) {
			r.substitute(id, again, at)
		}
	}
	r.Steps = slices.Insert(r.Steps, at, s)
	r.index()
}

// substitute lets the readers of a value from step at on read another one.
func (r *rewriter) substitute(id, by ID, at int) {
	for _, k := range r.readers[id] {
		if k < at {
			continue
		}
		r.Steps[k].In = slices.Clone(r.Steps[k].In)
		for n, in := range r.Steps[k].In {
			if in == id {
				r.Steps[k].In[n] = by
			}
		}
	}
}
