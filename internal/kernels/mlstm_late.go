package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// lateSteps is the number of steps after which MLSTMLate writes a memory C. More
// would save little of the writing, and each keeps a key and a value, which are
// read in every step.
const lateSteps = 16

// MLSTMLate computes an mLSTM cell step by step, in the memory of its state,
// and reads the memory C in every step but writes it only in every sixteenth:
// generation is as fast as memory is read and written, and C is the largest part
// of it besides the weights. In between, C has the value before the first of
// the last p steps, and the cell holds their keys and values,
//
//	C' = keep·C + Σ_j w_j·k_j·v_jᵀ
//	h  = (keep·Cᵀq̂ + Σ_j w_j·(k_j·q̂)·v_j) / N
//
// as within a chunk of the chunkwise form. n and m are always up to date. CatchUp
// brings C up to date: before it is read by anybody else, or written.
type MLSTMLate[F Float] struct {
	s     MLSTM
	items []mlstmLateItem[F] // b·NH + h
	step  func(item int)     // made once, so that a step allocates nothing
	in    [5][]F             // of the current step
	state MLSTMState[F]
	h     []F
}

// mlstmLateItem is what is missing in the C of one head of one sequence.
type mlstmLateItem[F Float] struct {
	steps   int
	keep    float64
	weights [lateSteps]float64
	keys    []F // [lateSteps,DQK]
	values  []F // [lateSteps,DHV]
	scores  [lateSteps]F
}

// NewMLSTMLate returns the cell that s describes, whose T must be 1 and which
// has no resets.
func NewMLSTMLate[F Float](s MLSTM) *MLSTMLate[F] {
	l := &MLSTMLate[F]{s: s, items: make([]mlstmLateItem[F], s.B*s.NH)}
	keys, values := make([]F, len(l.items)*lateSteps*s.DQK), make([]F, len(l.items)*lateSteps*s.DHV)
	for i := range l.items {
		it := &l.items[i]
		it.keep = 1
		it.keys, keys = keys[:lateSteps*s.DQK], keys[lateSteps*s.DQK:]
		it.values, values = values[:lateSteps*s.DHV], values[lateSteps*s.DHV:]
	}
	l.step = l.stepItem
	return l
}

// Step computes h [B,NH·DHV] and replaces the state; see MLSTM for the inputs.
func (l *MLSTMLate[F]) Step(q, k, v, i, f []F, state MLSTMState[F], h []F) {
	l.in, l.state, l.h = [5][]F{q, k, v, i, f}, state, h
	parallelWork(len(l.items), l.s.size(), l.step)
}

func (l *MLSTMLate[F]) stepItem(item int) {
	s, it := l.s, &l.items[item]
	c, n, m := mlstmHead(s, l.state, item)
	st := mlstmItem(s, item, l.in[0], l.in[1], l.in[2], l.in[3], l.in[4]).step(s, 0)
	ig, fg, mNew := st.gates(float64(m[0]))
	m[0] = F(mNew)
	share := ig * s.ScaleK
	vec.Scale(n, F(fg), n)
	vec.Axpy(n, F(share), st.k)
	norm, _ := s.normaliser(s.ScaleQ*float64(vec.Dot(st.q, n)), math.Exp(-mNew))
	it.remember(s, st, share, fg)
	_, ov, _ := s.offsets(item)
	it.read(s, c, st.q, s.ScaleQ/norm, l.h[ov:][:s.DHV])
	if it.steps == lateSteps {
		it.write(s, c)
	}
}

// remember adds a step to those that C lacks.
func (it *mlstmLateItem[F]) remember(s MLSTM, st mlstmStep[F], share, forget float64) {
	it.keep *= forget
	for j := range it.steps {
		it.weights[j] *= forget
	}
	it.weights[it.steps] = share
	copy(it.keys[it.steps*s.DQK:], st.k)
	copy(it.values[it.steps*s.DHV:], st.v)
	it.steps++
}

// read computes h = query·C'ᵀq.
func (it *mlstmLateItem[F]) read(s MLSTM, c, q []F, query float64, h []F) {
	clear(h)
	vec.Combine(h, q, c)
	vec.Scale(h, F(query*it.keep), h)
	scores := it.scores[:it.steps]
	apply(false, it.steps, s.DQK, 1, matrix[F]{it.keys, s.DQK}, q, 0, scores)
	for j := range scores {
		scores[j] = F(query * it.weights[j] * float64(scores[j]))
	}
	vec.Combine(h, scores, it.values)
}

// write brings C up to date.
func (it *mlstmLateItem[F]) write(s MLSTM, c []F) {
	for j, w := range it.weights[:it.steps] {
		key := it.keys[j*s.DQK:][:s.DQK]
		vec.Scale(key, F(w), key)
	}
	multiply(true, false, s.DQK, s.DHV, it.steps, 1, matrix[F]{it.keys, s.DQK}, matrix[F]{it.values, s.DHV}, F(it.keep), matrix[F]{c, s.DHV})
	it.steps, it.keep = 0, 1
}

// CatchUp brings C [B,NH,DQK,DHV] of sequence b up to date, which must be that of
// the last step's state; of all sequences if b is negative.
func (l *MLSTMLate[F]) CatchUp(b int, c []F) {
	from, to := b*l.s.NH, (b+1)*l.s.NH
	if b < 0 {
		from, to = 0, len(l.items)
	}
	for i := from; i < to; i++ {
		if it := &l.items[i]; it.steps > 0 {
			it.write(l.s, c[i*l.s.size():(i+1)*l.s.size()])
		}
	}
}
