package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

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
