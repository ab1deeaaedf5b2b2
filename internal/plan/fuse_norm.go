package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

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
