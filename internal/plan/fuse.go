package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// fuse puts composites in the place of operations, as far as the device has them.
func (r *rewriter) fuse() {
	r.index()
	for i := 0; i < len(r.Steps); i++ {
		if r.fuseAt(i) {
			i = -1 // steps have moved
		}
	}
}

// fuseAt reports whether it put a composite in the place of step i.
func (r *rewriter) fuseAt(i int) bool {
	switch op := r.Steps[i].Op.(type) {
	case ops.Add:
		return r.addNorm(i, op)
	case ops.Gated:
		return r.gatedNorm(i, op) || r.gatedLinears(i, op)
	case ops.Linear:
		return r.linears(i, op) || r.embeddedLinear(i, op)
	case ops.LinearGrad:
		return r.linearGradAgain(i, op)
	case ops.LinearsGrad:
		return r.linearsGradAgain(i, op)
	case ops.CrossEntropyGrad:
		return r.lossAndGrad(i, ops.LossAndGrad{CrossEntropy: ops.CrossEntropy{N: op.N, V: op.V}})
	case ops.CappedCrossEntropyGrad:
		return r.lossAndGrad(i, ops.LossAndGrad{CrossEntropy: op.CrossEntropy, Cap: op.Cap})
	case ops.SoftCap:
		return r.cappedCrossEntropy(i, op)
	case ops.MLSTMGates:
		return r.projections(i, op)
	case ops.MLSTMGatesGrad:
		return r.projectionsGrad(i, op)
	case ops.ForkGrad:
		return r.linearsGrad(i, op) || r.normGradAdd(i, op) || r.plus(i)
	}
	return false
}

// written returns the step that writes a value, and its operation as an O.
func written[O ops.Op](r *rewriter, id ID) (i int, op O, ok bool) {
	if i = r.writer[id]; i >= 0 {
		op, ok = r.Steps[i].Op.(O)
	}
	return i, op, ok
}

// read returns the first of a value's readers that is an O.
func read[O ops.Op](r *rewriter, id ID) (i int, op O, ok bool) {
	for _, i := range r.readers[id] {
		if op, ok = r.Steps[i].Op.(O); ok {
			return i, op, true
		}
	}
	return -1, op, false
}

// plus fuses the sum i of gradients with the operation that writes the first of them,
// if the others exist by then.
func (r *rewriter) plus(i int) bool {
	sum := r.Steps[i]
	first, more := sum.In[0], sum.In[1:]
	j := r.writer[first]
	if j < 0 || !r.readBy(first, i) || slices.ContainsFunc(more, func(id ID) bool { return r.writer[id] >= j }) {
		return false
	}
	s := r.Steps[j]
	both, ok := s.Op.(ops.Plus)
	if !ok {
		both = ops.Plus{Op: s.Op}
	}
	result := slices.Index(s.Out, first)
	n := make([]int, max(len(both.N), result+1))
	copy(n, both.N)
	at := len(both.Op.Inputs())
	for _, before := range n[:result+1] {
		at += before
	}
	n[result] += len(more)
	both.N = n
	if !r.fuser.Fuses(both) {
		return false
	}
	out := slices.Clone(s.Out)
	out[result] = sum.Out[0]
	r.replace([]int{i}, j, both, slices.Insert(slices.Clone(s.In), at, more...), out)
	return true
}

// unread reports whether a step before step i reads one of the values.
func (r *rewriter) unread(ids []ID, i int) bool {
	return slices.ContainsFunc(ids, func(id ID) bool { return len(r.readers[id]) > 0 && r.readers[id][0] < i })
}
