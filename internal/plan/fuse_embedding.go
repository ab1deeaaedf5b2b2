package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// embeddedLinear fuses linear map i with the embedding that it alone reads, and with
// the derivatives of both if there are any.
func (r *rewriter) embeddedLinear(i int, op ops.Linear) bool {
	linear := r.Steps[i]
	x := linear.In[0]
	j, embedding, ok := written[ops.Embedding](r, x)
	both := ops.EmbeddedLinear{Linear: op, V: embedding.V}
	if !ok || !r.fuser.Fuses(both) {
		return false
	}
	look := r.Steps[j]
	if k, grad, back := read[ops.LinearGrad](r, x); back {
		if !r.readBy(x, i, k) || !r.embeddedLinearGrad(k, look, ops.EmbeddedLinearGrad{EmbeddedLinear: both}, grad) {
			return false
		}
		j = r.writer[x] // steps have moved
		i = r.writer[linear.Out[0]]
	} else if !r.readBy(x, i) {
		return false
	}
	r.replace([]int{i, j}, i, both, append(slices.Clone(look.In), linear.In[1:]...), linear.Out)
	return true
}

// embeddedLinearGrad fuses derivative k of a linear map of an embedding with that of
// the embedding, which alone reads the gradient of the rows.
func (r *rewriter) embeddedLinearGrad(k int, look Step, both ops.EmbeddedLinearGrad, grad ops.LinearGrad) bool {
	s := r.Steps[k]
	m, _, ok := read[ops.EmbeddingGrad](r, s.Out[0])
	if !ok || !r.readBy(s.Out[0], m) || r.Steps[m].In[0] != look.In[0] || slices.Contains(grad.Has, false) || r.unread(s.Out[1:], m) || !r.fuser.Fuses(both) {
		return false
	}
	r.replace([]int{k, m}, m, both, append(slices.Clone(look.In), s.In[1:]...), append(slices.Clone(r.Steps[m].Out), s.Out[1:]...))
	return true
}
