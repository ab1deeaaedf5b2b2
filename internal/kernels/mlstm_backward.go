package kernels

import "math"

// MLSTMGrads receives the gradients of an mLSTM cell, in the shapes of what
// they belong to. State's slices may be nil.
type MLSTMGrads[F Float] struct {
	Q, K, V, I, F []F
	State         MLSTMState[F]
}

// MLSTMBackward computes the exact gradients of MLSTMForward from the upstream
// gradient dh of the outputs (nil for none) and dLast of the final state (C nil
// for none).
//
// Exact means: through the normaliser's |q̂·n|, through the final state, and
// through the stabiliser. The last matters only by way of Eps: everything else
// in h is scale-free in exp(m), so row i leaves δm_i = −(δh_i·h_i)·Eps/N_i, and
// the final state, which is stored relative to its m, leaves
// δm − ⟨C,δC⟩ − ⟨n,δn⟩. Both follow the path of the maximum back to the gate
// that set it.
//
// The states between the chunks are computed again.
func MLSTMBackward[F Float](s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F], dh []F, dLast MLSTMState[F], grads MLSTMGrads[F]) {
	Parallel(s.B*s.NH, func(item int) {
		oq, ov, og := s.offsets(item)
		b := mlstmBack[F]{
			MLSTM: s,
			in:    mlstmItem(s, item, q, k, v, i, f),
			h:     h[ov:],
			dq:    grads.Q[oq:], dk: grads.K[oq:], dv: grads.V[ov:], di: grads.I[og:], df: grads.F[og:],
		}
		if dh != nil {
			b.dh = dh[ov:]
		}
		var release func()
		b.mlstmWork, release = newMLSTMWork[F](s)
		defer release()
		sums, releaseSums := scratch[float64](3 * s.chunk())
		defer releaseSums()
		b.cross, b.fromState, b.carried = sums[:s.chunk()], sums[s.chunk():2*s.chunk()], sums[2*s.chunk():]
		b.run(state, last, dLast, grads.State, item)
	})
}

// mlstmBack is the backward pass of one (sequence, head).
type mlstmBack[F Float] struct {
	MLSTM
	mlstmWork[F]
	in                 mlstmInputs[F]
	h, dh              []F
	dq, dk, dv, di, df []F
	rest               float64 // what the stabiliser still has to hand back
	// Gradients of logarithms of shares, per step of a chunk: of the pairs that
	// the step's forget gate lies between, of the initial state in the step's row,
	// and of the step's input in the final state.
	cross, fromState, carried []float64
}

func (b *mlstmBack[F]) run(state, last, dLast, dState MLSTMState[F], item int) {
	size, per := b.size(), b.size()+b.DQK
	chunks := (b.T + b.chunk() - 1) / b.chunk()
	states, release := scratch[F](per*chunks + per)
	defer release()
	ms, releaseM := scratch[float64](chunks)
	defer releaseM()
	b.replay(state, states, ms, item)

	dc, dn := states[per*chunks:][:size], states[per*chunks+size:][:b.DQK]
	clear(dc)
	clear(dn)
	if dLast.C != nil {
		c, n, _ := mlstmHead(b.MLSTM, last, item)
		gc, gn, gm := mlstmHead(b.MLSTM, dLast, item)
		copy(dc, gc)
		copy(dn, gn)
		b.rest = float64(gm[0]) - dot64(c, dc) - dot64(n, dn)
	}
	for k := chunks - 1; k >= 0; k-- {
		c, n := states[per*k:][:size], states[per*k+size:][:b.DQK]
		b.chunkBack(k*b.chunk(), ms[k], c, n, dc, dn)
	}
	if dState.C != nil {
		gc, gn, gm := mlstmHead(b.MLSTM, dState, item)
		copy(gc, dc)
		copy(gn, dn)
		c, n := states[:size], states[size:per]
		gm[0] = F(b.rest + dot64(c, dc) + dot64(n, dn))
	}
}

// replay fills states with C and n, and ms with m, before every chunk.
func (b *mlstmBack[F]) replay(state MLSTMState[F], states []F, ms []float64, item int) {
	size, per := b.size(), b.size()+b.DQK
	c, n := states[:size], states[size:per]
	m := mlstmBegin(b.MLSTM, state, item, c, n)
	for k := range ms {
		ms[k] = m
		if k == len(ms)-1 {
			return
		}
		next := states[per*(k+1):][:per]
		copy(next, states[per*k:][:per])
		c, n = next[:size], next[size:]
		mlstmLoadGates(&b.gates, b.in, k*b.chunk(), b.chunk(), m)
		mlstmAdvance(b.MLSTM, b.in, k*b.chunk(), b.chunk(), b.mlstmWork, c, n)
		m = b.gates.last
	}
}

// chunkBack takes the chunk at t0 back: c, n are the state before it, dc, dn the
// gradients of the state after it, which it turns into those of the former.
func (b *mlstmBack[F]) chunkBack(t0 int, m0 float64, c, n, dc, dn []F) {
	l := min(b.chunk(), b.T-t0)
	mlstmLoadGates(&b.gates, b.in, t0, l, m0)
	b.clearRows(t0, l)
	if b.dh != nil {
		mlstmScores(b.MLSTM, b.in, t0, l, b.mlstmWork, n, true)
		b.rowsBack(t0, l)
		b.intraBack(t0, l)
	}
	b.carryBack(t0, l, dc, dn)
	kept := b.keepBack(l, c, n, dc, dn)
	if b.dh != nil {
		b.interBack(t0, l, c, n, dc, dn)
	}
	b.gatesBack(t0, l, kept)
}

func (b *mlstmBack[F]) clearRows(t0, l int) {
	clear(b.cross)
	clear(b.fromState)
	for t := t0; t < t0+l; t++ {
		clear(b.dq[t*b.in.ldq:][:b.DQK])
		clear(b.dk[t*b.in.ldq:][:b.DQK])
		clear(b.dv[t*b.in.ldv:][:b.DHV])
		b.di[t*b.in.ldg] = 0
	}
}

// rowsBack turns the upstream gradient of each row into g_i = δh_i/N_i (work.v)
// and the gradient of its normaliser sum (work.den), and leaves the stabiliser's
// share in di for gatesBack.
func (b *mlstmBack[F]) rowsBack(t0, l int) {
	for i := range l {
		at := (t0 + i) * b.in.ldv
		dh, den := b.dh[at:][:b.DHV], float64(b.den[i])
		norm, linear := b.normaliser(den, b.gates.m[i])
		scaleTo(F(1/norm), dh, b.v[i*b.DHV:(i+1)*b.DHV])
		s := float64(dot(dh, b.h[at:][:b.DHV]))
		b.den[i] = 0
		if linear {
			b.den[i] = F(-s / norm * math.Copysign(1, den))
		}
		b.di[(t0+i)*b.in.ldg] = F(-s * b.Eps / norm)
	}
}

// intraBack handles what flows between the steps of the chunk:
// δA = G·Vᵀ + δden, P = δA⊙D, δQ = P·K, δK = Pᵀ·Q, δV = Aᵀ·G.
func (b *mlstmBack[F]) intraBack(t0, l int) {
	in := b.in
	q, k, v := in.q[t0*in.ldq:], in.k[t0*in.ldq:], in.v[t0*in.ldv:]
	dq, dk, dv := b.dq[t0*in.ldq:], b.dk[t0*in.ldq:], b.dv[t0*in.ldv:]
	Gemm(false, true, l, l, b.DHV, 1, b.v, b.DHV, v, in.ldv, 0, b.p, l)
	for i := range l {
		row, d := b.p[i*l:(i+1)*l], b.d[i*l:(i+1)*l]
		for j := range i + 1 {
			row[j] += b.den[i]
		}
		b.crossings(i, row, b.a[i*l:(i+1)*l])
		for j := range i + 1 {
			row[j] *= d[j]
		}
		clear(row[i+1:])
	}
	scale := F(b.ScaleQ * b.ScaleK)
	Gemm(false, false, l, b.DQK, l, scale, b.p, l, k, in.ldq, 0, dq, in.ldq)
	Gemm(true, false, l, b.DQK, l, scale, b.p, l, q, in.ldq, 0, dk, in.ldq)
	Gemm(true, false, l, b.DHV, l, 1, b.a, l, b.v, b.DHV, 0, dv, in.ldv)
}

// crossings adds row i's share of the forget gates' gradients: log σ(f~_t) is in
// D_ij exactly where j < t ≤ i, so its gradient is the sum of the W_ij = δA_ij·A_ij
// over those pairs. Sums of such pairs alone keep all digits; the shorter
// Σ_{s≥t}(q_s·δq_s − k_s·δk_s) is the same number with everything else in it
// twice, and where the gates forget, the rest is all there is.
func (b *mlstmBack[F]) crossings(i int, dA, a []F) {
	var sum float64
	for t := 1; t <= i; t++ {
		sum += float64(dA[t-1] * a[t-1])
		b.cross[t] += sum
	}
}

// carryBack handles what flows from the chunk's inputs into its final state.
func (b *mlstmBack[F]) carryBack(t0, l int, dc, dn []F) {
	in := b.in
	mlstmCarryKeys(b.MLSTM, in, t0, l, b.mlstmWork)
	Gemm(false, false, l, b.DHV, b.DQK, 1, b.qk, b.DQK, dc, b.DHV, 1, b.dv[t0*in.ldv:], in.ldv)
	// qk is read; it now takes V·δCᵀ.
	Gemm(false, true, l, b.DQK, b.DHV, 1, in.v[t0*in.ldv:], in.ldv, dc, b.DHV, 0, b.qk, b.DQK)
	for j := range l {
		share := F(b.gates.carry(j, l) * b.ScaleK)
		row := b.qk[j*b.DQK : (j+1)*b.DQK]
		axpy(1, dn, row)
		axpy(share, row, b.dk[(t0+j)*in.ldq:][:b.DQK])
		b.carried[j] = float64(share) * dot64(in.k[(t0+j)*in.ldq:][:b.DQK], row)
	}
}

// keepBack takes dc, dn over what is left of the initial state, and returns the
// gradient of the logarithm of that factor.
func (b *mlstmBack[F]) keepBack(l int, c, n, dc, dn []F) float64 {
	keep := b.gates.keep(l)
	kept := keep * (dot64(c, dc) + dot64(n, dn))
	scaleTo(F(keep), dc, dc)
	scaleTo(F(keep), dn, dn)
	return kept
}

// interBack handles what flows from the chunk's initial state into its rows.
func (b *mlstmBack[F]) interBack(t0, l int, c, n, dc, dn []F) {
	in := b.in
	mlstmInterQueries(b.MLSTM, in, t0, l, b.mlstmWork)
	Gemm(true, false, b.DQK, b.DHV, l, 1, b.qk, b.DQK, b.v, b.DHV, 1, dc, b.DHV)
	for i := range l {
		axpy(b.den[i], b.qk[i*b.DQK:(i+1)*b.DQK], dn)
	}
	// qk is read; it now takes G·Cᵀ.
	Gemm(false, true, l, b.DQK, b.DHV, 1, b.v, b.DHV, c, b.DHV, 0, b.qk, b.DQK)
	for i := range l {
		share := F(b.gates.inter(i) * b.ScaleQ)
		row := b.qk[i*b.DQK : (i+1)*b.DQK]
		axpy(b.den[i], n, row)
		axpy(share, row, b.dq[(t0+i)*in.ldq:][:b.DQK])
		b.fromState[i] = float64(share) * dot64(in.q[(t0+i)*in.ldq:][:b.DQK], row)
	}
}

// gatesBack computes the gate gradients, last step first. δi~_t = k_t·δk_t. The
// gradient of log σ(f~_t) is the sum over all that it scales: the pairs across t,
// the initial state's share in the rows from t on, the earlier inputs' share in
// the final state, and what is kept of the initial state in the final one. Each
// gets the stabiliser's remainder where it passes.
func (b *mlstmBack[F]) gatesBack(t0, l int, kept float64) {
	in := b.in
	for j := range l {
		// carried becomes what the steps before j carry.
		kept, b.carried[j] = kept+b.carried[j], kept
	}
	var late float64
	for j := l - 1; j >= 0; j-- {
		t := t0 + j
		late += b.fromState[j]
		b.rest += float64(b.di[t*in.ldg])
		di, dlf := dot64(in.k[t*in.ldq:][:b.DQK], b.dk[t*in.ldq:][:b.DQK]), b.cross[j]+late+b.carried[j]
		if b.gates.forgets(j) {
			dlf += b.rest
		} else {
			di += b.rest
			b.rest = 0
		}
		b.di[t*in.ldg] = F(di)
		b.df[t*in.ldg] = F(dlf * sigmoid(-float64(in.f[t*in.ldg])))
	}
}
