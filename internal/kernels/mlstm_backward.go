package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/blas"
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
	MLSTMTapedBackward(s, q, k, v, i, f, state, h, nil, dh, dLast, grads)
}

// MLSTMTapedBackward is MLSTMBackward with the states that MLSTMTapedForward has written
// to the tape, unless it is nil.
func MLSTMTapedBackward[F Float](s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h, tape, dh []F, dLast MLSTMState[F], grads MLSTMGrads[F]) {
	if s.Resets = s.Resets.some(); s.Resets != nil {
		qk, hv := s.NH*s.DQK, s.NH*s.DHV
		mlstmResetBackward(s, dh, dLast, grads, func(p mlstmSpan, dh []F, dLast MLSTMState[F], grads MLSTMGrads[F]) {
			MLSTMBackward(p.alone(), rows(p, q, qk), rows(p, k, qk), rows(p, v, hv), rows(p, i, s.NH), rows(p, f, s.NH), mlstmSpanState(p, state),
				rows(p, h, hv), dh, dLast, grads)
		})
		return
	}
	c := mlstmBackward[F]{MLSTM: s, q: q, k: k, v: v, i: i, f: f, state: state, h: h, tape: tape, dh: dh, dLast: dLast, grads: grads}
	c.whole()
}

// whole computes every sequence from its end to its beginning.
func (c *mlstmBackward[F]) whole() {
	s := c.MLSTM
	if w := s.wave(coresBack); w != nil {
		c.inWave(w)
		return
	}
	Parallel(s.B*s.NH, func(item int) {
		b := c.item(item)
		b.tape = tapeOf(s, c.tape, item)
		var space arena[F]
		b.layOut(&space)
		b.rows.layOut(&space, s.T)
		defer giveBack(space.claim())
		b.layOut(&space)
		b.rows.layOut(&space, s.T)
		kept, lent := scratch[float64](s.chunks())
		defer giveBack(lent)
		b.rows.kept = kept
		b.run(c.state, c.dLast, c.grads.State)
		b.gatesBack(c.dLast, c.grads.State)
	})
}

// mlstmBackward is the arguments of MLSTMBackward.
type mlstmBackward[F Float] struct {
	MLSTM
	q, k, v, i, f []F
	state         MLSTMState[F]
	h, tape, dh   []F
	dLast         MLSTMState[F]
	grads         MLSTMGrads[F]
	maps          *[3]vec.Taps[F] // see mlstmInputs
}

// item returns the backward pass of one head of one sequence, without scratch space.
func (c *mlstmBackward[F]) item(item int) mlstmBack[F] {
	b := mlstmBack[F]{mlstmCell: mlstmCell[F]{MLSTM: c.MLSTM, in: mlstmItem(c.MLSTM, item, c.q, c.k, c.v, c.i, c.f)}, item: item}
	b.in.mapBy(c.MLSTM, c.maps, item)
	oq, ov, og := c.offsets(item)
	b.h = matrix[F]{c.h[ov:], b.in.ldv}
	b.dq, b.dk = matrix[F]{c.grads.Q[oq:], b.in.ldq}, matrix[F]{c.grads.K[oq:], b.in.ldq}
	b.dv, b.di, b.df = matrix[F]{c.grads.V[ov:], b.in.ldv}, c.grads.I[og:], c.grads.F[og:]
	if c.dh != nil {
		b.dh = matrix[F]{c.dh[ov:], b.in.ldv}
	}
	return b
}

// mlstmBack is the backward pass of one head of one sequence, or of one of its chunks.
type mlstmBack[F Float] struct {
	mlstmCell[F]
	item              int
	h, dh, dq, dk, dv matrix[F]      // of all steps; dh may have no data
	di, df            []F            // of all steps
	rows              gateRows[F]    // of all steps
	memories          []F            // before every chunk that is not on the tape, and dmem
	ms                []F            // the stabilisers before every chunk
	dmem              mlstmMemory[F] // the gradient of the memory after the current chunk
	unread            bool           // dmem is zero

	d    matrix[F] // D
	p    matrix[F] // P = δA⊙D, lower triangular
	g    matrix[F] // G_i = δh_i/N_i
	dden []F       // δden
	w    []F       // W_ij, the gradients of one row's log D_ij
	// The chunk's part of rows.
	dm, cross, inputs, fromState, carried []F
}

// layOut takes the scratch space of a whole sequence from the arena.
func (b *mlstmBack[F]) layOut(space *arena[F]) {
	b.layOutChunk(space)
	memories := b.chunks() + 1
	if b.tape.written() {
		memories = 2
	}
	b.ms, b.memories = space.take(b.chunks()), space.take(memories*(b.size()+b.DQK))
}

// layOutChunk takes the scratch space of a chunk.
func (b *mlstmBack[F]) layOutChunk(space *arena[F]) {
	b.mlstmCell.layOut(space)
	l := b.chunk()
	b.d, b.p = space.matrix(l, l), space.matrix(l, l)
	b.g = space.matrix(l, b.DHV)
	b.dden, b.w = space.take(l), space.take(l)
}

// memory returns the memory before chunk k, and for the one after the last the
// space of dmem.
func (b *mlstmBack[F]) memory(k int) mlstmMemory[F] {
	switch {
	case b.tape.written() && k == b.chunks():
		return memoryAt(b.MLSTM, b.memories, 1)
	case b.tape.written() && k > 0:
		return b.tape.memory(b.MLSTM, k)
	}
	return memoryAt(b.MLSTM, b.memories, k)
}

// run computes the gradients of a whole sequence, but for those of the gates.
func (b *mlstmBack[F]) run(state, dLast, dState MLSTMState[F]) {
	b.replay(mlstmBegin(b.MLSTM, state, b.item, b.memory(0)))
	b.dmem = b.memory(b.chunks())
	b.dmem.setState(b.MLSTM, dLast, b.item)
	b.unread = !dLast.some()
	b.chunksBack(state.C == nil, dState.C != nil)
	if dState.C != nil {
		gc, gn, _ := mlstmHead(b.MLSTM, dState, b.item)
		copy(gc, b.dmem.c.data)
		copy(gn, b.dmem.n)
	}
}

// replay computes the memories before every chunk but the first, before which the
// stabiliser is m, or finds them on the tape.
func (b *mlstmBack[F]) replay(m float64) {
	if b.tape.written() {
		b.ms[0] = F(m)
		copy(b.ms[1:], b.tape.ms)
		return
	}
	for k := 0; ; k++ {
		b.ms[k] = F(m)
		if k == b.chunks()-1 {
			return
		}
		next := b.memory(k + 1)
		next.set(b.memory(k))
		b.begin(k, m)
		b.loadInputs()
		b.advance(next)
		m = b.gates.last
	}
}

// chunksBack computes the backward passes of all chunks, last one first. The memory
// before the first one is zero if begins is set, and its gradient is only computed
// if it is read.
func (b *mlstmBack[F]) chunksBack(begins, read bool) {
	for k := b.chunks() - 1; k >= 0; k-- {
		b.empty = k == 0 && begins
		b.begin(k, float64(b.ms[k]))
		b.chunkBack(b.memory(k))
		if k == 0 && !read {
			return
		}
		b.memoryBack()
	}
}

// chunkBack computes the backward pass of the chunk, of all but the memory mem before
// it; see memoryBack.
func (b *mlstmBack[F]) chunkBack(mem mlstmMemory[F]) {
	b.dm, b.cross, b.inputs, b.fromState, b.carried = b.rows.of(b.t0, b.l)
	b.loadQueries()
	b.loadInputs()
	b.scores(mem.n, b.d)
	b.rowsBack()
	b.scoresBack()
	b.valuesBack(mem)
	b.keysBack()
	b.queriesBack(mem)
	kept := 0.0
	if !b.empty && !b.unread {
		kept = b.gates.keep * b.dmem.dot(mem)
	}
	b.keepRows(kept)
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
		b.dh.prefetch(b.t0+i+rowsAhead, b.t0+b.l, b.DHV)
		b.h.prefetch(b.t0+i+rowsAhead, b.t0+b.l, b.DHV)
		var share F
		share, b.dden[i], b.dm[i] = b.rowBack(i, b.dh.row(b.t0+i, b.DHV), b.h.row(b.t0+i, b.DHV))
		vec.Scale(b.g.row(i, b.DHV), share, b.dh.row(b.t0+i, b.DHV))
	}
}

// rowBack returns 1/N_i, δden_i and, where exp(−m) normalises, δm_i, for the output h
// of row i and its gradient.
func (c *mlstmCell[F]) rowBack(i int, dh, h []F) (share, dden, dm F) {
	den := float64(c.den[i])
	norm, linear := c.normaliser(den, float64(c.gates.floor[i]))
	s := float64(vec.Dot(dh, h)) / norm
	if linear {
		return F(1 / norm), F(-s * math.Copysign(1, den)), 0
	}
	return F(1 / norm), 0, F(-s * c.Eps)
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

// rowsAt is inputsAt with the outputs and their gradients.
func (b *mlstmBack[F]) rowsAt(t int) [blas.MostAhead]blas.Ahead[F] {
	parts := b.inputsAt(t)
	if t >= 0 && b.dh.data != nil {
		parts[3] = blas.Ahead[F]{Data: b.dh.from(t, 0).data, Row: b.dh.ld, Cols: b.DHV}
		parts[4] = blas.Ahead[F]{Data: b.h.from(t, 0).data, Row: b.h.ld, Cols: b.DHV}
	}
	return parts
}

// valuesBack computes δv_j = ā_j·ScaleK·δCᵀk_j + Σ_i A_ij·G_i, through the final state
// and through the rows. Meanwhile it fetches the memory mem before the chunk, which may
// have left the caches since it was written.
func (b *mlstmBack[F]) valuesBack(mem mlstmMemory[F]) {
	dv, beta := b.dv.from(b.t0, 0), F(0)
	if !b.unread {
		var next [1]blas.Ahead[F]
		if !b.empty {
			next[0] = mem.ahead(b.DQK)
		}
		multiplyAhead(false, false, b.l, b.DHV, b.DQK, 1, b.k, b.dmem.c, 0, dv, next[:])
		scaleRows(dv, b.gates.carry[:b.l], dv, b.DHV)
		beta = 1
	}
	lowerTimes(true, b.l, b.DHV, 1, b.a, b.g, beta, dv)
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
	lowerTimes(true, b.l, b.DQK, F(b.ScaleQ*b.ScaleK), b.p, b.q, beta, dk)
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
	lowerTimes(false, b.l, b.DQK, F(b.ScaleQ*b.ScaleK), b.p, b.k, beta, dq)
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
// Meanwhile it fetches what the chunk before this one reads.
func (b *mlstmBack[F]) memoryBack() {
	keep := F(b.gates.keep)
	apply(true, b.l, b.DQK, 1, b.q, b.dden, keep, b.dmem.n)
	next := b.rowsAt(b.t0 - b.chunk())
	multiplyAhead(true, false, b.DQK, b.DHV, b.l, 1, b.q, b.g, keep, b.dmem.c, next[:])
	b.unread = false
}
