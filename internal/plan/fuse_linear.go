package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

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

// gatedLinears fuses gate i with the linear maps of one input that it reads.
func (r *rewriter) gatedLinears(i int, op ops.Gated) bool {
	gate := r.Steps[i]
	j, maps, ok := written[ops.Linears](r, gate.In[0])
	if !ok || !slices.Equal(r.Steps[j].Out, gate.In) {
		return false
	}
	g, u := gate.In[0], gate.In[1]
	both := ops.GatedLinears{Linears: maps, Fn: op.Fn, Alone: r.readBy(g, i) && r.readBy(u, i)}
	if !both.Fits() || !r.fuser.Fuses(both) {
		return false
	}
	out := gate.Out
	if !both.Alone {
		out = []ID{g, u, out[0]}
	}
	r.replace([]int{j, i}, j, both, r.Steps[j].In, out)
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
