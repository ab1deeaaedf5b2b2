package plan

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// fuseLayers puts the composites of the paper's mLSTM layer in the place of the
// operations of which it consists, and lets sLSTM cells map their own inputs.
func (r *rewriter) fuseLayers() {
	r.index()
	for i := 0; i < len(r.Steps); i++ {
		fused := false
		switch op := r.Steps[i].Op.(type) {
		case ops.MLSTMGates:
			fused = r.mlstmEntry(i)
		case ops.MLSTMGatesGrad:
			fused = r.mlstmEntryGrad(i, op)
		case ops.SkipGate:
			fused = r.mlstmExit(i)
		case ops.SLSTM:
			fused = r.slstmMaps(i, op)
		}
		if fused {
			i = -1 // steps have moved
		}
	}
	for i, s := range r.Steps {
		if op, ok := s.Op.(ops.MLSTM); ok {
			r.mlstmOutput(i, op)
		}
	}
}

// entrySteps are the steps of an mLSTM layer that come before the gates.
type entrySteps struct {
	op   ops.MLSTMEntry
	conv int
	maps [3]int
}

// x and c return the input and the result of the convolution.
func (r *rewriter) x(e entrySteps) ID { return r.Steps[e.conv].In[0] }
func (r *rewriter) c(e entrySteps) ID { return r.Steps[e.conv].Out[0] }

// entryOf finds the steps that compute q, k and v.
func (r *rewriter) entryOf(qkv []ID, nh int) (e entrySteps, ok bool) {
	e.op.NH = nh
	for k, id := range qkv {
		j, m, ok := written[ops.Headwise](r, id)
		if !ok || k > 0 && m != e.op.Map {
			return e, false
		}
		e.maps[k], e.op.Map = j, m
	}
	c := r.Steps[e.maps[0]].In[0]
	e.conv, e.op.Conv, ok = written[ops.Conv](r, c)
	return e, ok && !e.op.Map.Bias && r.c(e) == c && r.Steps[e.maps[1]].In[0] == c && r.Steps[e.maps[2]].In[0] == r.x(e) && r.fuser.Fuses(e.op)
}

// mlstmEntry fuses the projection i to the gates with the convolution before it, and
// lets the cell and its derivative map their own inputs.
func (r *rewriter) mlstmEntry(i int) bool {
	gates := r.Steps[i]
	qkv := gates.In[:3]
	if r.later(qkv, i) {
		return false // the derivative is fused first
	}
	e, ok := r.entryOf(qkv, gates.Op.(ops.MLSTMGates).NH)
	if !ok {
		return false
	}
	cell, grad, ok := r.cellOf(i, e)
	if !ok {
		return false
	}
	conv := r.Steps[e.conv]
	mapped := []ID{r.c(e), r.x(e)}
	for _, j := range e.maps {
		mapped = append(mapped, r.Steps[j].In[1])
	}
	m, out := r.mapped(cell, e)
	if grad >= 0 {
		g := r.Steps[grad]
		r.replace([]int{grad}, grad, ops.MLSTMMappedGrad{MLSTMGrad: g.Op.(ops.MLSTMGrad), Map: e.op.Map}, append(slices.Clone(mapped), g.In[3:]...), g.Out)
	}
	r.replace([]int{cell}, cell, m, append(slices.Clone(mapped), r.Steps[cell].In[3:]...), out)
	in := slices.Clone(conv.In)
	if e.op.Conv.Resets {
		in = in[:len(in)-1]
	}
	in = append(append(in, mapped[2:]...), gates.In[3:]...)
	if e.op.Conv.Resets {
		in = append(in, conv.In[len(conv.In)-1])
	}
	r.replace(append([]int{e.conv, i}, e.maps[:]...), i, e.op, in, append(slices.Clone(conv.Out), gates.Out...))
	return true
}

// mapped returns the cell of step i with maps, and its results. It is alone if nothing
// reads the new memory.
func (r *rewriter) mapped(i int, e entrySteps) (ops.MLSTMMapped, []ID) {
	out := r.Steps[i].Out
	m := ops.MLSTMMapped{MLSTM: r.Steps[i].Op.(ops.MLSTM), Map: e.op.Map, Alone: true}
	if r.seen(out[1:4]) || !r.fuser.Fuses(m) {
		m.Alone = false
		return m, out
	}
	return m, spared(out)
}

// spared are the results of a cell but the new memory: h, and the tape if there is one.
func spared(out []ID) []ID { return append(out[:1:1], out[4:]...) }

// cellOf returns the cell that the gates of step i belong to and its derivative, −1 if
// there is none. They alone read q, k and v besides the gates, and nothing reads the
// result of the convolution before the gates.
func (r *rewriter) cellOf(i int, e entrySteps) (cell, grad int, ok bool) {
	gates := r.Steps[i]
	reads := append(slices.Clone(gates.In[:3]), gates.Out...)
	cell, op, ok := read[ops.MLSTM](r, reads[0])
	if !ok || len(r.Steps[cell].Out) != len(op.Outputs()) || !slices.Equal(r.Steps[cell].In[:5], reads) || !r.fuser.Fuses(ops.MLSTMMapped{MLSTM: op, Map: e.op.Map}) {
		return 0, 0, false
	}
	readers := []int{i, cell}
	grad, back, ok := read[ops.MLSTMGrad](r, reads[0])
	if ok {
		if !slices.Equal(r.Steps[grad].In[:5], reads) || !r.fuser.Fuses(ops.MLSTMMappedGrad{MLSTMGrad: back, Map: e.op.Map}) {
			return 0, 0, false
		}
		readers = append(readers, grad)
	}
	for _, id := range gates.In[:3] {
		if !r.readBy(id, readers...) {
			return 0, 0, false
		}
	}
	return cell, grad, !r.readBetween(r.Steps[e.conv].Out, i, e.maps[:])
}

// later reports whether a derivative of the projection i to the gates, not yet fused,
// reads its inputs.
func (r *rewriter) later(qkv []ID, i int) bool {
	j, op, ok := read[ops.MLSTMGatesGrad](r, qkv[0])
	if !ok || j < i {
		return false
	}
	_, fits := r.entryGradOf(j, op)
	return fits
}

// readBetween reports whether a step before step i, other than the given ones, reads
// one of the values.
func (r *rewriter) readBetween(ids []ID, i int, but []int) bool {
	return slices.ContainsFunc(ids, func(id ID) bool {
		return slices.ContainsFunc(r.readers[id], func(j int) bool { return j < i && !slices.Contains(but, j) })
	})
}

// mlstmEntryGrad fuses the derivative i of the projection to the gates with the
// steps that follow it back to the input of the layer's convolution.
func (r *rewriter) mlstmEntryGrad(i int, op ops.MLSTMGatesGrad) bool {
	g, ok := r.entryGradOf(i, op)
	if ok {
		r.replace(g.steps, g.last, ops.MLSTMEntryGrad{MLSTMEntry: g.op}, g.in, g.out)
	}
	return ok
}

// entryGrad is the derivative of an mLSTM layer's entry.
type entryGrad struct {
	op      ops.MLSTMEntry
	steps   []int // of which it consists, last is the last one
	last    int
	in, out []ID
}

// entryGradOf finds the steps of which derivative i is the first.
func (r *rewriter) entryGradOf(i int, op ops.MLSTMGatesGrad) (g entryGrad, ok bool) {
	gates := r.Steps[i]
	e, ok := r.entryOf(gates.In[:3], op.NH)
	if !ok || op.Has != [2]bool{true, true} || !r.fuser.Fuses(ops.MLSTMEntryGrad{MLSTMEntry: e.op}) {
		return g, false
	}
	var up, dw, dx []ID
	g.op, g.steps = e.op, []int{i}
	for k, from := range [3]ID{r.c(e), r.c(e), r.x(e)} {
		sum, others, ok := r.sumOf(gates.Out[k])
		if !ok || len(others) != 1 {
			return g, false
		}
		j, ok := only[ops.HeadwiseGrad](r, r.Steps[sum].Out[0])
		if !ok || r.Steps[j].In[0] != from || r.Steps[j].In[1] != r.Steps[e.maps[k]].In[1] || r.Steps[j].In[2] != r.Steps[sum].Out[0] {
			return g, false
		}
		g.steps = append(g.steps, sum, j)
		up, dx, dw = append(up, others[0]), append(dx, r.Steps[j].Out[0]), append(dw, r.Steps[j].Out[1])
	}
	return r.throughConv(g, e, gates, up, dx, dw)
}

// throughConv completes a derivative by that of the convolution: up are the
// gradients of q, k and v, dx and dw those of the maps' inputs and weights.
func (r *rewriter) throughConv(g entryGrad, e entrySteps, gates Step, up, dx, dw []ID) (entryGrad, bool) {
	sum, others, ok := r.sumOf(dx[0])
	if !ok || len(others) != 2 || !slices.Contains(others, dx[1]) {
		return g, false
	}
	dc := others[0]
	if dc == dx[1] {
		dc = others[1]
	}
	j, ok := only[ops.ConvGrad](r, r.Steps[sum].Out[0])
	if !ok {
		return g, false
	}
	conv := r.Steps[j]
	last, others, ok := r.sumOf(conv.Out[0])
	if !ok || len(others) != 1 || others[0] != dx[2] || conv.In[0] != r.x(e) || conv.Op.(ops.ConvGrad).Has != [2]bool{true, false} {
		return g, false
	}
	g.steps, g.last = append(g.steps, sum, j, last), last
	own := slices.Index(conv.In, r.Steps[sum].Out[0])
	g.in = slices.Clone(conv.In[:own])
	for _, m := range e.maps {
		g.in = append(g.in, r.Steps[m].In[1])
	}
	g.in = append(append(append(append(g.in, gates.In[3:5]...), up...), gates.In[5:]...), dc)
	g.in = append(g.in, conv.In[own+1:]...)
	g.out = append(append(append([]ID{r.Steps[last].Out[0]}, conv.Out[1:]...), dw...), gates.Out[3:]...)
	return g, slices.Max(g.steps) == last && !r.unread(g.out, last)
}

// sumOf returns the sum of gradients that alone reads a value, and its other terms.
func (r *rewriter) sumOf(id ID) (i int, others []ID, ok bool) {
	if i, ok = only[ops.ForkGrad](r, id); !ok {
		return i, nil, false
	}
	for _, term := range r.Steps[i].In {
		if term != id {
			others = append(others, term)
		}
	}
	return i, others, len(others) == len(r.Steps[i].In)-1
}

// only returns the step that alone reads a hidden value, if its operation is an O.
func only[O ops.Op](r *rewriter, id ID) (i int, ok bool) {
	if len(r.readers[id]) != 1 || !r.hidden(id) {
		return -1, false
	}
	i = r.readers[id][0]
	_, ok = r.Steps[i].Op.(O)
	return i, ok
}

// mlstmOutput leaves out the new memory of cell i if nothing reads it.
func (r *rewriter) mlstmOutput(i int, op ops.MLSTM) {
	s, alone := r.Steps[i], ops.MLSTMOutput{MLSTM: op}
	if len(s.Out) == len(op.Outputs()) && !r.seen(s.Out[1:4]) && r.fuser.Fuses(alone) {
		r.replace([]int{i}, i, alone, s.In, spared(s.Out))
	}
}

// seen reports whether anything reads one of the values.
func (r *rewriter) seen(ids []ID) bool {
	return slices.ContainsFunc(ids, func(id ID) bool { return !r.hidden(id) || len(r.readers[id]) > 0 })
}

// mlstmExit fuses skip and gate i with the norm that it reads, and, if there are any,
// the derivatives of both.
func (r *rewriter) mlstmExit(i int) bool {
	gate := r.Steps[i]
	normed := gate.In[0]
	j, norm, ok := written[ops.Norm](r, normed)
	both := ops.MLSTMExit{Norm: norm}
	if !ok || !r.fuser.Fuses(both) {
		return false
	}
	in := append(slices.Clone(r.Steps[j].In), gate.In[1:]...)
	if r.readBy(normed, i) {
		r.replace([]int{j, i}, i, both, in, gate.Out)
		return true
	}
	k, _, ok := read[ops.SkipGateGrad](r, normed)
	if !ok || !r.readBy(normed, i, k) || !slices.Equal(r.Steps[k].In[:4], gate.In) {
		return false
	}
	back := r.Steps[k]
	l, ok := only[ops.NormGrad](r, back.Out[0])
	if !ok || !slices.Equal(r.Steps[l].In, append(slices.Clone(r.Steps[j].In), back.Out[0])) || !r.fuser.Fuses(ops.MLSTMExitGrad{MLSTMExit: both}) {
		return false
	}
	down := r.Steps[l]
	r.replace([]int{k, l}, k, ops.MLSTMExitGrad{MLSTMExit: both}, append(slices.Clone(in), back.In[4]), append(slices.Clone(down.Out), back.Out[1:]...))
	r.replace([]int{j, i}, i, both, in, gate.Out)
	return true
}

// recomputeEntries repeats the convolutions of layers' entries, rather than keep their
// results for the backward pass, if the device would recompute entries.
func (r *rewriter) recomputeEntries() {
	r.index()
	for i := len(r.Steps) - 1; i >= 0; i-- {
		e, ok := r.Steps[i].Op.(ops.MLSTMEntry)
		if !ok || !r.fuser.Recomputes(e) || !r.hidden(r.Steps[i].Out[0]) {
			continue
		}
		if late := r.late(i); late >= 0 {
			r.repeatConv(i, e.Conv, late)
		}
	}
}

// repeatConv inserts the convolution of entry i before step at; its result takes the
// place of the entry's from there on.
func (r *rewriter) repeatConv(i int, conv ops.Conv, at int) {
	s := r.Steps[i]
	in := slices.Clone(s.In[:len(conv.Inputs())])
	if conv.Resets {
		in[len(in)-1] = s.In[len(s.In)-1]
	}
	out := make([]ID, 2)
	for k := range out {
		out[k] = ID(len(r.Values))
		r.Values = append(r.Values, r.Values[s.Out[k]])
		r.Values[out[k]].Kept = false
	}
	r.substitute(s.Out[0], out[0], at)
	r.Steps = slices.Insert(r.Steps, at, Step{Op: conv, Dtype: s.Dtype, In: in, Out: out, Origin: s.Origin})
	r.index()
}
