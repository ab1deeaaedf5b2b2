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
		return r.gatedNorm(i, op)
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

// addNorm fuses sum i with the first norm that reads it.
func (r *rewriter) addNorm(i int, op ops.Add) bool {
	add := r.Steps[i]
	j, norm, ok := read[ops.Norm](r, add.Out[0])
	if !ok || r.Steps[j].In[0] != add.Out[0] || !r.inputs(r.Steps[j].In[1:]) || norm.N*norm.Width != op.Shape.Size() {
		return false
	}
	both := ops.AddNorm{Norm: norm}
	if !r.fuser.Fuses(both) {
		return false
	}
	r.replace([]int{i, j}, i, both, append(slices.Clone(add.In), r.Steps[j].In[1:]...), []ID{add.Out[0], r.Steps[j].Out[0]})
	return true
}

// normGradAdd fuses the sum i of two gradients with the norm's derivative that
// writes one of them.
func (r *rewriter) normGradAdd(i int, op ops.ForkGrad) bool {
	sum := r.Steps[i]
	for k := 0; op.N == 2 && k < 2; k++ {
		j, norm, ok := written[ops.NormGrad](r, sum.In[k])
		both := ops.NormGradAdd(norm)
		if !ok || !r.readBy(sum.In[k], i) || r.unread(r.Steps[j].Out[1:], i) || !r.fuser.Fuses(both) {
			continue
		}
		r.replace([]int{j, i}, i, both, append(slices.Clone(r.Steps[j].In), sum.In[1-k]), append([]ID{sum.Out[0]}, r.Steps[j].Out[1:]...))
		return true
	}
	return false
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

// gatedNorm fuses gate i with the norm that it reads, and, if there are any, the
// derivatives of both.
func (r *rewriter) gatedNorm(i int, op ops.Gated) bool {
	gate := r.Steps[i]
	j, norm, ok := written[ops.Norm](r, gate.In[1])
	both := ops.GatedNorm{Norm: norm, Fn: op.Fn}
	if !ok || !r.fuser.Fuses(both) {
		return false
	}
	operands := append([]ID{gate.In[0]}, r.Steps[j].In...)
	if r.readBy(gate.In[1], i) {
		r.replace([]int{j, i}, i, both, operands, gate.Out)
		return true
	}
	k, _, ok := read[ops.GatedGrad](r, gate.In[1])
	if !ok || !r.readBy(gate.In[1], i, k) || r.Steps[k].In[0] != gate.In[0] {
		return false
	}
	l, _, ok := read[ops.NormGrad](r, r.Steps[k].Out[1])
	if !ok || !r.readBy(r.Steps[k].Out[1], l) || !slices.Equal(r.Steps[l].In[:len(r.Steps[j].In)], r.Steps[j].In) {
		return false
	}
	back, down := r.Steps[k], r.Steps[l]
	r.replace([]int{k, l}, k, ops.GatedNormGrad{GatedNorm: both}, append(slices.Clone(operands), back.In[2]), append([]ID{back.Out[0]}, down.Out...))
	r.replace([]int{j, i}, i, both, operands, gate.Out)
	return true
}

// linears fuses linear map i with those that read the same input after it.
func (r *rewriter) linears(i int, op ops.Linear) bool {
	x := r.Steps[i].In[0]
	all, in, out := ops.Linears{}, []ID{x}, []ID(nil)
	var steps []int
	for _, j := range r.readers[x] {
		l, ok := r.Steps[j].Op.(ops.Linear)
		if s := r.Steps[j]; ok && j >= i && s.In[0] == x && l.Rows == op.Rows && l.In == op.In && r.inputs(s.In[1:]) {
			all.Maps, in, out, steps = append(all.Maps, l), append(in, s.In[1:]...), append(out, s.Out...), append(steps, j)
		}
	}
	if len(steps) < 2 || steps[0] != i || !r.fuser.Fuses(all) {
		return false
	}
	r.replace(steps, i, all, in, out)
	return true
}

// linearsGrad fuses the sum i of gradients with the derivatives of linear maps of
// one input that write all of them.
func (r *rewriter) linearsGrad(i int, op ops.ForkGrad) bool {
	sum := r.Steps[i]
	all, weights, ups, out := ops.LinearsGrad{}, []ID(nil), []ID(nil), []ID{sum.Out[0]}
	x, steps := ID(-1), []int{i}
	for _, id := range sum.In {
		j, l, ok := written[ops.LinearGrad](r, id)
		if !ok || !r.readBy(id, i) || x >= 0 && r.Steps[j].In[0] != x || r.unread(r.Steps[j].Out[1:], i) {
			return false
		}
		s := r.Steps[j]
		x = s.In[0]
		all.Maps, all.Has, steps = append(all.Maps, l.Linear), append(all.Has, l.Has), append(steps, j)
		weights, ups, out = append(weights, s.In[1]), append(ups, s.In[2:]...), append(out, s.Out[1:]...)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(steps)))) != op.N+1 || !r.fuser.Fuses(all) {
		return false
	}
	r.replace(steps, i, all, append(append([]ID{x}, weights...), ups...), out)
	return true
}

// cappedCrossEntropy fuses soft cap i with the cross entropy that alone reads it,
// and the derivatives of both if there are any.
func (r *rewriter) cappedCrossEntropy(i int, op ops.SoftCap) bool {
	soft := r.Steps[i]
	l := soft.Out[0]
	j, ce, ok := read[ops.CrossEntropy](r, l)
	both := ops.CappedCrossEntropy{CrossEntropy: ce, Cap: op.Cap}
	if !ok || !r.fuser.Fuses(both) {
		return false
	}
	loss := r.Steps[j]
	if k, _, back := read[ops.CrossEntropyGrad](r, l); back {
		m, _, ok := read[ops.SoftCapGrad](r, l)
		if !ok || !r.readBy(l, j, k, m) || !r.readBy(r.Steps[k].Out[0], m) || r.Steps[m].In[1] != r.Steps[k].Out[0] {
			return false
		}
		grad := r.Steps[k]
		r.replace([]int{k, m}, m, ops.CappedCrossEntropyGrad{CappedCrossEntropy: both}, append([]ID{soft.In[0]}, grad.In[1:]...), r.Steps[m].Out)
	} else if !r.readBy(l, j) {
		return false
	}
	r.replace([]int{i, j}, j, both, []ID{soft.In[0], loss.In[1]}, loss.Out)
	return true
}

// lossAndGrad fuses derivative i of the loss with the loss, if the logits and the
// gradient of the loss exist by then.
func (r *rewriter) lossAndGrad(i int, both ops.LossAndGrad) bool {
	grad := r.Steps[i]
	j, ok := r.lossOf(grad.In[0], grad.In[1])
	if !ok || j > i || r.writer[grad.In[2]] >= j || !r.fuser.Fuses(both) {
		return false
	}
	r.replace([]int{i, j}, j, both, grad.In, append(slices.Clone(r.Steps[j].Out), grad.Out...))
	return true
}

// lossOf returns the step that computes the loss of logits.
func (r *rewriter) lossOf(logits, targets ID) (i int, ok bool) {
	for _, i := range r.readers[logits] {
		switch r.Steps[i].Op.(type) {
		case ops.CrossEntropy, ops.CappedCrossEntropy:
			if r.Steps[i].In[0] == logits && r.Steps[i].In[1] == targets {
				return i, true
			}
		}
	}
	return -1, false
}

// linearGradAgain fuses derivative i of a linear map with the operation that writes the
// map's input for it alone, and with the derivative of that operation.
func (r *rewriter) linearGradAgain(i int, op ops.LinearGrad) bool {
	linear := r.Steps[i]
	j := r.writer[linear.In[0]]
	if j < 0 || len(linear.In) != 3 || !r.readBy(linear.In[0], i) || len(r.readers[linear.Out[0]]) != 1 || r.unread(linear.Out[1:], i+1) {
		return false
	}
	again, k := r.Steps[j], r.readers[linear.Out[0]][0]
	both := ops.LinearGradAgain{Inner: again.Op, Map: op.Linear}
	if !both.Fits() || !r.readBy(linear.Out[0], k) || !r.fuser.Fuses(both) {
		return false
	}
	back := r.Steps[k]
	switch back.Op.(type) {
	case ops.GatedGrad, ops.GatedNormGrad:
	default:
		return false
	}
	if !slices.Equal(back.In, append(slices.Clone(again.In), linear.Out[0])) {
		return false
	}
	r.replace([]int{j, i, k}, i, both, append(slices.Clone(again.In), linear.In[1:]...), append(slices.Clone(back.Out), linear.Out[1]))
	return true
}

// linearsGradAgain fuses derivative i of linear maps with the norm that writes their
// input for it alone, and with the derivative of that norm.
func (r *rewriter) linearsGradAgain(i int, op ops.LinearsGrad) bool {
	maps := r.Steps[i]
	j, norm, ok := written[ops.Norm](r, maps.In[0])
	both := ops.LinearsGradAgain{LinearsGrad: op, Norm: norm}
	if !ok || !r.readBy(maps.In[0], i) || len(r.readers[maps.Out[0]]) != 1 || !r.fuser.Fuses(both) {
		return false
	}
	again, k := r.Steps[j], r.readers[maps.Out[0]][0]
	back := r.Steps[k]
	if add, ok := back.Op.(ops.NormGradAdd); !ok || add.Norm != norm || !r.readBy(maps.Out[0], k) || r.unread(maps.Out[1:], k+1) {
		return false
	}
	more := len(back.In) - 1
	if !slices.Equal(back.In[:more], append(slices.Clone(again.In), maps.Out[0])) {
		return false
	}
	in := append(append(slices.Clone(again.In), maps.In[1:]...), back.In[more])
	r.replace([]int{j, i, k}, k, both, in, append(slices.Clone(back.Out), maps.Out[1:]...))
	return true
}
