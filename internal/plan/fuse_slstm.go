package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// slstmMaps lets the sLSTM cell of step i map its own inputs, and its derivative
// calculate the gradients of the maps, if nothing else reads what is between them.
func (r *rewriter) slstmMaps(i int, op ops.SLSTM) bool {
	cell := r.Steps[i]
	m := ops.SLSTMMapped{SLSTM: op}
	var maps [4]int
	var sources, weights []ID
	for k, id := range cell.In[:4] {
		j, h, ok := written[ops.Headwise](r, id)
		if !ok || k > 0 && h != m.Map || !r.readBy(id, i) {
			return false
		}
		m.Map, maps[k] = h, j
		sources, weights = append(sources, r.Steps[j].In[0]), append(weights, r.Steps[j].In[1:]...)
	}
	if m.Map.Bias || sources[0] != sources[1] || sources[2] != sources[3] || !r.fuser.Fuses(m) {
		return false
	}
	mapped := append([]ID{sources[0], sources[2]}, weights...)
	if g, _, ok := read[ops.SLSTMGrad](r, cell.Out[0]); ok && !r.slstmMapsGrad(g, m, mapped) {
		return false
	}
	// The derivative comes later, so that these steps are where they were.
	r.replace(append([]int{i}, maps[:]...), i, m, append(slices.Clone(mapped), cell.In[4:]...), cell.Out)
	return true
}

// slstmMapsGrad fuses derivative i of a cell with those of its maps, and with the sums of
// the gradients of what these read.
func (r *rewriter) slstmMapsGrad(i int, m ops.SLSTMMapped, mapped []ID) bool {
	cell := r.Steps[i]
	both := ops.SLSTMMappedGrad{SLSTMGrad: cell.Op.(ops.SLSTMGrad), Map: m.Map}
	steps := []int{i}
	var dx, dw []ID
	for k, id := range cell.Out[:4] {
		j, ok := only[ops.HeadwiseGrad](r, id)
		if !ok || !slices.Equal(r.Steps[j].In, []ID{mapped[k/2], mapped[2+k], id}) {
			return false
		}
		steps = append(steps, j)
		dx, dw = append(dx, r.Steps[j].Out[0]), append(dw, r.Steps[j].Out[1])
	}
	var sums []int
	for k := 0; k < len(dx); k += 2 {
		sum, ok := only[ops.ForkGrad](r, dx[k])
		if !ok || !r.readBy(dx[k+1], sum) {
			return false
		}
		sums = append(sums, sum)
	}
	if !r.fuser.Fuses(both) {
		return false
	}
	out := make([]ID, 2)
	for k, sum := range sums {
		if out[k] = r.withoutTerm(sum, dx[2*k], dx[2*k+1]); out[k] != dx[2*k] {
			steps = append(steps, sum)
		}
	}
	r.replace(steps, i, both, append(slices.Clone(mapped), cell.In...), append(append(out, dw...), cell.Out[4:]...))
	return true
}

// withoutTerm takes a term off the sum of step i, where another term will contain it, and
// returns that term. If these are all, the sum is what the term will be, and the step
// is to be removed.
func (r *rewriter) withoutTerm(i int, term, off ID) ID {
	s := &r.Steps[i]
	fork := s.Op.(ops.ForkGrad)
	if fork.N == 2 {
		return s.Out[0]
	}
	at := slices.Index(s.In, off)
	s.Op, s.In = ops.ForkGrad{N: fork.N - 1, Shape: fork.Shape}, slices.Delete(slices.Clone(s.In), at, at+1)
	return term
}
