package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// gateRows is what the chunks of a sequence contribute to the gradients of its
// gates. Per step, these are gradients of the stabiliser and of logarithms of
// shares: of m_i, of the pairs on both sides of the step's forget gate, of the
// step's input in the rows, of the initial state of the chunk in the step's row, and
// of the step's input in the chunk's final state.
type gateRows[F Float] struct {
	dm, cross, inputs, fromState, carried []F
	forgets                               []F       // 1 if the stabiliser came from the forget gate, or 0
	kept                                  []float64 // per chunk, of its initial state's share in its final state
}

// layOut takes the space for t steps, but not that of kept.
func (r *gateRows[F]) layOut(space *arena[F], t int) {
	for _, x := range []*[]F{&r.dm, &r.cross, &r.inputs, &r.fromState, &r.carried, &r.forgets} {
		*x = space.take(t)
	}
}

// of returns the part of the l steps from t0 on.
func (r *gateRows[F]) of(t0, l int) (dm, cross, inputs, fromState, carried []F) {
	end := t0 + l
	return r.dm[t0:end], r.cross[t0:end], r.inputs[t0:end], r.fromState[t0:end], r.carried[t0:end]
}

// keepRows completes the contributions of the current chunk, of whose initial state's
// share in the final state the gradient is kept. The share that set a stabiliser is
// always 1.
func (b *mlstmBack[F]) keepRows(kept float64) {
	if top := b.gates.top(b.l - 1); top >= 0 {
		b.carried[top] = 0
	} else {
		kept = 0
	}
	b.rows.kept[b.t0/b.chunk()] = kept
	for j, flags := 0, b.rows.forgets[b.t0:b.t0+b.l]; j < b.l; j++ {
		flags[j] = 0
		if b.gates.forgets(j) {
			flags[j] = 1
		}
	}
}

// gatesBack computes the gradients of the gates of all steps, last step first, and
// that of the initial state's stabiliser. The gradient of i~_t is that of its input's
// shares in the rows and in the final state of its chunk. The gradient of log σ(f~_t)
// is the sum over all shares that it scales: the pairs across t, the initial state's
// share in the rows from t on, the earlier inputs' shares in the final state, and the
// initial state's share in the final state. The stabilisers' gradients are added
// along their paths; the remainder is that of the initial state's stabiliser.
func (b *mlstmBack[F]) gatesBack(dLast, dState MLSTMState[F]) {
	rest := 0.0
	if dLast.M != nil {
		rest = float64(dLast.M[b.item])
	}
	for k := b.chunks() - 1; k >= 0; k-- {
		rest = b.chunkGatesBack(k, rest)
	}
	if dState.C != nil {
		dState.M[b.item] = F(rest)
	}
}

// chunkGatesBack computes the gradients of the gates of chunk k. rest is the gradient
// of the stabiliser after it, and the result that of the stabiliser before it.
func (b *mlstmBack[F]) chunkGatesBack(k int, rest float64) float64 {
	t0, kept := k*b.chunk(), b.rows.kept[k]
	l := min(b.chunk(), b.T-t0)
	dm, cross, inputs, fromState, carried := b.rows.of(t0, l)
	earlier := kept
	for _, x := range carried {
		earlier += float64(x)
	}
	rest -= earlier
	closed := b.gates.tail[:l] // σ(−f~), the slope of log σ(f~)
	for j := range closed {
		closed[j] = -b.in.f[(t0+j)*b.in.ldg]
	}
	vec.Activate(vec.Sigmoid, closed, closed)
	var late float64
	for j := l - 1; j >= 0; j-- {
		t := (t0 + j) * b.in.ldg
		late += float64(fromState[j])
		earlier -= float64(carried[j])
		rest += float64(dm[j])
		di, dlf := float64(inputs[j])+float64(carried[j]), float64(cross[j])+late+earlier
		if b.rows.forgets[t0+j] != 0 {
			dlf += rest
		} else {
			di += rest
			rest = 0
		}
		b.di[t], b.df[t] = F(di), F(dlf)*closed[j]
	}
	return rest + late + kept
}
