package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// projections fuses the gates i of an mLSTM cell with the maps that write q, k and v.
func (r *rewriter) projections(i int, op ops.MLSTMGates) bool {
	gates := r.Steps[i]
	both := ops.Projections{Gates: op}
	var xs, weights []ID
	steps := []int{i}
	for k, id := range gates.In[:3] {
		j, m, ok := written[ops.Headwise](r, id)
		if !ok || m.Bias || k > 0 && m != both.Map || !r.inputs(r.Steps[j].In[1:]) || r.readers[id][0] < i {
			return false
		}
		both.Map = m
		xs, weights, steps = append(xs, r.Steps[j].In[0]), append(weights, r.Steps[j].In[1]), append(steps, j)
	}
	if xs[0] != xs[1] || !r.inputs(gates.In[3:]) || !r.fuser.Fuses(both) {
		return false
	}
	r.replace(steps, i, both, slices.Concat(xs[1:], weights, gates.In[3:]), slices.Concat(gates.In[:3], gates.Out))
	return true
}

// mapBack is the derivative of a map in the backward pass of Projections: steps sum,
// which adds up the gradients of the map's result, one of them that of the cell, and
// grad.
type mapBack struct {
	sum, grad int
	cell      ID
}

// mapBack returns the derivative of the map whose result has the gradient id by way of
// the gates, step i.
func (r *rewriter) mapBack(i int, id ID) (b mapBack, m ops.HeadwiseGrad, ok bool) {
	sum, fork, ok := read[ops.ForkGrad](r, id)
	if !ok || fork.N != 2 || !r.readBy(id, sum) {
		return b, m, false
	}
	in, out := r.Steps[sum].In, r.Steps[sum].Out[0]
	b.sum, b.cell = sum, in[0]
	if b.cell == id {
		b.cell = in[1]
	}
	b.grad, m, ok = read[ops.HeadwiseGrad](r, out)
	return b, m, ok && !m.Bias && r.readBy(out, b.grad) && r.writer[b.cell] < i
}

// projectionsGrad fuses the derivative i of the gates of an mLSTM cell with those of
// the maps that wrote q, k and v.
func (r *rewriter) projectionsGrad(i int, op ops.MLSTMGatesGrad) bool {
	if op.Has != [2]bool{true, true} {
		return false
	}
	gates := r.Steps[i]
	both := ops.ProjectionsGrad{Projections: ops.Projections{Gates: op.MLSTMGates}}
	var xs, weights, cell, dxs, dws []ID
	steps := []int{i}
	for k, id := range gates.Out[:3] {
		b, m, ok := r.mapBack(i, id)
		if !ok || k > 0 && m.Headwise != both.Map {
			return false
		}
		both.Map = m.Headwise
		s := r.Steps[b.grad]
		xs, weights, cell, dxs, dws = append(xs, s.In[0]), append(weights, s.In[1]), append(cell, b.cell), append(dxs, s.Out[0]), append(dws, s.Out[1])
		steps = append(steps, b.sum, b.grad)
	}
	sum, fork, ok := read[ops.ForkGrad](r, dxs[0])
	if !ok || xs[0] != xs[1] || !r.readBy(dxs[0], sum) || !r.readBy(dxs[1], sum) || !r.fuser.Fuses(both) {
		return false
	}
	dc := dxs[0]
	if fork.N == 2 {
		dc, steps = r.Steps[sum].Out[0], append(steps, sum)
	} else {
		in := slices.Clone(r.Steps[sum].In)
		at := slices.Index(in, dxs[1])
		r.Steps[sum].Op, r.Steps[sum].In = ops.ForkGrad{N: fork.N - 1, Shape: fork.Shape}, slices.Delete(in, at, at+1)
	}
	in := slices.Concat(xs[1:], weights, gates.In[:5], cell, gates.In[5:])
	r.replace(steps, i, both, in, slices.Concat([]ID{dc, dxs[2]}, dws, gates.Out[3:]))
	return true
}
