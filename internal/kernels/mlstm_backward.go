package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// MLSTMGrads receives the gradients of an mLSTM cell, each in the shape of the value
// that it belongs to. State's slices may be nil.
type MLSTMGrads[F Float] struct {
	Q, K, V, I, F []F
	State         MLSTMState[F]
}

// MLSTMBackward computes the exact gradients of MLSTMForward from the upstream
// gradient dh of the outputs (nil for zeros) and dLast of the final state.
//
// Exact means that gradients flow through the normaliser's |q̂·n|, the final state
// and the stabilisers, each of which passes its gradient back along the path of its
// maximum to the gate that set it. Shares are relative to the stabiliser, so its
// gradient is minus the sum of theirs: of those of row i, which are functions of
// D_ij and β_i, and of those in the final state. If |q̂·n| normalises, that sum is
// nearly zero, δh_i·h_i·Eps/N_i, the difference of numbers as large as δh_i·h_i.
// Therefore the computed sum is used, without the share that set the stabiliser:
// this share is always 1, so that the largest rounding error of the row enters none
// of the gates. If exp(−m) normalises, h is a function of the absolute shares, and
// only δm_i = −(δh_i·h_i)·Eps/N_i remains.
//
// The states between the chunks are recomputed.
func MLSTMBackward[F Float](s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h, dh []F, dLast MLSTMState[F], grads MLSTMGrads[F]) {
	if s.Resets = s.Resets.some(); s.Resets != nil {
		qk, hv := s.NH*s.DQK, s.NH*s.DHV
		mlstmResetBackward(s, dh, dLast, grads, func(p mlstmSpan, dh []F, dLast MLSTMState[F], grads MLSTMGrads[F]) {
			MLSTMBackward(p.alone(), rows(p, q, qk), rows(p, k, qk), rows(p, v, hv), rows(p, i, s.NH), rows(p, f, s.NH), mlstmSpanState(p, state),
				rows(p, h, hv), dh, dLast, grads)
		})
		return
	}
	Parallel(s.B*s.NH, func(item int) {
		b := mlstmBack[F]{mlstmCell: mlstmCell[F]{MLSTM: s, in: mlstmItem(s, item, q, k, v, i, f)}}
		var space arena[F]
		b.layOut(&space)
		defer giveBack(space.claim())
		b.layOut(&space)
		oq, ov, og := s.offsets(item)
		b.h = matrix[F]{h[ov:], b.in.ldv}
		b.dq, b.dk = matrix[F]{grads.Q[oq:], b.in.ldq}, matrix[F]{grads.K[oq:], b.in.ldq}
		b.dv, b.di, b.df = matrix[F]{grads.V[ov:], b.in.ldv}, grads.I[og:], grads.F[og:]
		if dh != nil {
			b.dh = matrix[F]{dh[ov:], b.in.ldv}
		}
		b.run(state, dLast, grads.State, item)
	})
}

// mlstmBack is the backward pass of one head of one sequence.
type mlstmBack[F Float] struct {
	mlstmCell[F]
	h, dh, dq, dk, dv matrix[F] // of all steps; dh may have no data
	di, df            []F
	memories          []F            // before every chunk, and dmem
	ms                []F            // the stabilisers before every chunk
	dmem              mlstmMemory[F] // the gradient of the memory after the current chunk
	unread            bool           // dmem is zero
	rest              float64        // and of the stabiliser, still to be passed back

	d    matrix[F] // D
	p    matrix[F] // P = δA⊙D, lower triangular
	g    matrix[F] // G_i = δh_i/N_i
	dden []F       // δden
	w    []F       // W_ij, the gradients of one row's log D_ij
	// Gradients of the stabiliser and of logarithms of shares, per step: of m_i, of
	// the pairs on both sides of the step's forget gate, of the step's input in the
	// rows, of the initial state in the step's row, and of the step's input in the
	// final state.
	dm, cross, inputs, fromState, carried []F
}

// layOut takes the scratch space from the arena.
func (b *mlstmBack[F]) layOut(space *arena[F]) {
	b.mlstmCell.layOut(space)
	l := b.chunk()
	b.d, b.p = space.matrix(l, l), space.matrix(l, l)
	b.g = space.matrix(l, b.DHV)
	for _, x := range []*[]F{&b.dden, &b.w, &b.dm, &b.cross, &b.inputs, &b.fromState, &b.carried} {
		*x = space.take(l)
	}
	chunks := (b.T + l - 1) / l
	b.ms, b.memories = space.take(chunks), space.take((chunks+1)*(b.size()+b.DQK))
}

// memory returns the memory before chunk k.
func (b *mlstmBack[F]) memory(k int) mlstmMemory[F] { return memoryAt(b.MLSTM, b.memories, k) }

func (b *mlstmBack[F]) run(state, dLast, dState MLSTMState[F], item int) {
	b.replay(state, item)
	b.dmem = b.memory(len(b.ms))
	clear(b.dmem.c.data)
	clear(b.dmem.n)
	b.unread = !dLast.some()
	if !b.unread {
		gc, gn, gm := mlstmHead(b.MLSTM, dLast, item)
		copy(b.dmem.c.data, gc)
		copy(b.dmem.n, gn)
		if gm != nil {
			b.rest = float64(gm[0])
		}
	}
	for k := len(b.ms) - 1; k >= 0; k-- {
		b.empty = k == 0 && state.C == nil
		b.chunkBack(k*b.chunk(), float64(b.ms[k]), b.memory(k))
		if k == 0 && dState.C == nil {
			return
		}
		b.memoryBack()
	}
	if dState.C != nil {
		gc, gn, gm := mlstmHead(b.MLSTM, dState, item)
		copy(gc, b.dmem.c.data)
		copy(gn, b.dmem.n)
		gm[0] = F(b.rest)
	}
}

// replay computes the memories before every chunk.
func (b *mlstmBack[F]) replay(state MLSTMState[F], item int) {
	m := mlstmBegin(b.MLSTM, state, item, b.memory(0))
	for k := range b.ms {
		b.ms[k] = F(m)
		if k == len(b.ms)-1 {
			return
		}
		next := b.memory(k + 1)
		next.set(b.memory(k))
		b.begin(k*b.chunk(), m)
		b.loadInputs()
		b.advance(next)
		m = b.gates.last
	}
}

// chunkBack computes the backward pass of the chunk at t0, of all but the memory mem
// before it; see memoryBack.
func (b *mlstmBack[F]) chunkBack(t0 int, m0 float64, mem mlstmMemory[F]) {
	b.begin(t0, m0)
	b.loadQueries()
	b.loadInputs()
	b.scores(mem.n, b.d)
	b.rowsBack()
	b.scoresBack()
	b.valuesBack()
	b.keysBack()
	b.queriesBack(mem)
	kept := 0.0
	if !b.empty && !b.unread {
		kept = b.gates.keep * b.dmem.dot(mem)
	}
	b.gatesBack(kept)
}

// rowsBack computes G and the gradients of den and, where exp(−m) normalises, of the
// stabilisers.
func (b *mlstmBack[F]) rowsBack() {
	if b.dh.data == nil {
		clear(b.g.data)
		clear(b.dden)
		clear(b.dm)
		return
	}
	for i := range b.l {
		dh, den := b.dh.row(b.t0+i, b.DHV), float64(b.den[i])
		norm, linear := b.normaliser(den, float64(b.gates.floor[i]))
		s := float64(vec.Dot(dh, b.h.row(b.t0+i, b.DHV))) / norm
		vec.Scale(b.g.row(i, b.DHV), F(1/norm), dh)
		if linear {
			b.dden[i] = F(-s * math.Copysign(1, den))
		} else {
			b.dden[i], b.dm[i] = 0, F(-s*b.Eps)
		}
	}
}

// linear reports whether row i is normalised by |q̂·n|.
func (b *mlstmBack[F]) linear(i int) bool {
	_, linear := b.normaliser(float64(b.den[i]), float64(b.gates.floor[i]))
	return linear
}

// scoresBack computes δA = G·Vᵀ + δden and P = δA⊙D, and from W = δA⊙A, the gradient
// of log D, the gradients of the gates: log σ(f~_t) is part of log D_ij if and only
// if j < t ≤ i, so its gradient is the sum of W_ij over those pairs, computed as the
// sum over j < t of the column sums of the rows from t on. A sum over these pairs
// alone keeps all digits. The shorter formula Σ_{s≥t}(q_s·δq_s − k_s·δk_s) adds and
// subtracts all other pairs, which are much larger than the result if the gates
// forget.
func (b *mlstmBack[F]) scoresBack() {
	lowerOf(b.l, b.DHV, 1, b.g, b.v, b.p)
	clear(b.inputs)
	for t, top := b.l-1, b.gates.top(b.l-1); t >= 0; t-- {
		n, w := t+1, b.w[:t+1]
		clear(w)
		vec.DecayGrad(b.a.row(t, n), b.d.row(t, n), b.dden[t], w, b.p.row(t, n))
		if top > t {
			top = b.gates.top(t)
		}
		if b.linear(t) {
			if top >= 0 {
				w[top] = 0
			}
			b.dm[t] = -vec.Sum(w)
		}
		vec.Axpy(b.inputs[:n], 1, w)
		b.cross[t] = vec.Sum(b.inputs[:t])
		clearAbove(b.p, t, b.l)
	}
}

// valuesBack computes δv_j = ā_j·ScaleK·δCᵀk_j + Σ_i A_ij·G_i, through the final state
// and through the rows.
func (b *mlstmBack[F]) valuesBack() {
	dv, beta := b.dv.from(b.t0, 0), F(0)
	if !b.unread {
		multiply(false, false, b.l, b.DHV, b.DQK, 1, b.k, b.dmem.c, 0, dv)
		scaleRows(dv, b.gates.carry[:b.l], dv, b.DHV)
		beta = 1
	}
	lowerTransTimes(b.l, b.DHV, 1, b.a, b.g, beta, dv)
}

// keysBack computes δk_j = ā_j·ScaleK·(δC·v_j + δn) + ScaleQ·ScaleK·Σ_i P_ij·q_i,
// and replaces the values by ā_j·ScaleK·v_j unless the final state is not read.
func (b *mlstmBack[F]) keysBack() {
	dk, beta := b.dk.from(b.t0, 0), F(0)
	clear(b.carried)
	if !b.unread {
		scaleRows(b.v, b.gates.carry[:b.l], b.v, b.DHV)
		multiply(false, true, b.l, b.DQK, b.DHV, 1, b.v, b.dmem.c, 0, dk)
		addOuter(b.l, b.DQK, b.gates.carry, b.dmem.n, dk)
		for j := range b.l {
			b.carried[j] = vec.Dot(b.k.row(j, b.DQK), dk.row(j, b.DQK))
		}
		beta = 1
	}
	lowerTransTimes(b.l, b.DQK, F(b.ScaleQ*b.ScaleK), b.p, b.q, beta, dk)
}

// queriesBack computes δq_i = β_i·ScaleQ·(C·G_i + δden_i·n) + ScaleQ·ScaleK·Σ_j
// P_ij·k_j, and replaces G by β_i·ScaleQ·G_i and δden by β_i·ScaleQ·δden_i.
func (b *mlstmBack[F]) queriesBack(mem mlstmMemory[F]) {
	dq, inter := b.dq.from(b.t0, 0), b.gates.inter[:b.l]
	vec.Mul(b.dden[:b.l], b.dden, inter)
	scaleRows(b.g, inter, b.g, b.DHV)
	clear(b.fromState)
	beta := F(0)
	if !b.empty {
		multiply(false, true, b.l, b.DQK, b.DHV, 1, b.g, mem.c, 0, dq)
		addOuter(b.l, b.DQK, b.dden, mem.n, dq)
		for i := range b.l {
			b.fromState[i] = vec.Dot(b.q.row(i, b.DQK), dq.row(i, b.DQK))
		}
		beta = 1
	}
	b.stateBack()
	lowerTimes(b.l, b.DQK, F(b.ScaleQ*b.ScaleK), b.p, b.k, beta, dq)
}

// stateBack adds the gradients of the initial state's shares to those of the
// stabilisers.
func (b *mlstmBack[F]) stateBack() {
	first := 0 // rows before it have stabilisers set by the initial state
	for first < b.l && b.gates.forgets(first) {
		first++
	}
	for i := range b.l {
		if !b.linear(i) {
			continue
		}
		if i < first {
			b.fromState[i] = 0
		}
		b.dm[i] -= b.fromState[i]
	}
}

// memoryBack moves the gradient of the memory from after the chunk to before it; it
// follows queriesBack:
// δC' = keep·δC + Σ_i β_i·q̂_i·G_iᵀ, δn' = keep·δn + Σ_i β_i·q̂_i·δden_i.
func (b *mlstmBack[F]) memoryBack() {
	keep := F(b.gates.keep)
	apply(true, b.l, b.DQK, 1, b.q, b.dden, keep, b.dmem.n)
	multiply(true, false, b.DQK, b.DHV, b.l, 1, b.q, b.g, keep, b.dmem.c)
	b.unread = false
}

// gatesBack computes the gradients of the gates, last step first. The gradient of
// i~_t is that of its input's shares in the rows and in the final state. The
// gradient of log σ(f~_t) is the sum over all shares that it scales: the pairs
// across t, the initial state's share in the rows from t on, the earlier inputs'
// shares in the final state, and kept, the initial state's share in the final state.
// The stabilisers' gradients are added along their paths; the remainder is that of
// the initial state's stabiliser.
func (b *mlstmBack[F]) gatesBack(kept float64) {
	if top := b.gates.top(b.l - 1); top >= 0 {
		b.carried[top] = 0
	} else {
		kept = 0
	}
	earlier := kept
	for _, x := range b.carried[:b.l] {
		earlier += float64(x)
	}
	b.rest -= earlier
	closed := b.gates.tail[:b.l] // σ(−f~), the slope of log σ(f~)
	for j := range closed {
		closed[j] = -b.in.f[(b.t0+j)*b.in.ldg]
	}
	vec.Activate(vec.Sigmoid, closed, closed)
	var late float64
	for j := b.l - 1; j >= 0; j-- {
		t := (b.t0 + j) * b.in.ldg
		late += float64(b.fromState[j])
		earlier -= float64(b.carried[j])
		b.rest += float64(b.dm[j])
		di, dlf := float64(b.inputs[j])+float64(b.carried[j]), float64(b.cross[j])+late+earlier
		if b.gates.forgets(j) {
			dlf += b.rest
		} else {
			di += b.rest
			b.rest = 0
		}
		b.di[t], b.df[t] = F(di), F(dlf)*closed[j]
	}
	b.rest += late + kept
}
