package kernels

import "math"

// The recurrent form follows the equations of the cell step by step. It shares
// nothing with the chunkwise form but the shapes, which makes each a check of
// the other; per step it does less than a chunk of one, which suits decoding.

// mlstmStep is what one step of the recurrence needs besides the memory.
type mlstmStep[F Float] struct {
	q, k, v []F
	i, f    float64
}

func (in mlstmInputs[F]) step(s MLSTM, t int) mlstmStep[F] {
	return mlstmStep[F]{
		q: in.q[t*in.ldq:][:s.DQK], k: in.k[t*in.ldq:][:s.DQK], v: in.v[t*in.ldv:][:s.DHV],
		i: float64(in.i[t*in.ldg]), f: float64(in.f[t*in.ldg]),
	}
}

// gates returns i', f' and m' for a step that begins with stabiliser m.
func (st mlstmStep[F]) gates(m float64) (ig, fg, mNew float64) {
	lf := logForget(st.f) + m
	mNew = float64(F(math.Max(lf, st.i)))
	return math.Exp(st.i - mNew), math.Exp(lf - mNew), mNew
}

// update moves the memory c, n by one step and returns the new stabiliser.
func (st mlstmStep[F]) update(s MLSTM, c, n []F, m float64) float64 {
	ig, fg, m := st.gates(m)
	share := F(ig * s.ScaleK)
	for i, k := range st.k {
		row := c[i*s.DHV : (i+1)*s.DHV]
		scaleTo(F(fg), row, row)
		axpy(share*k, st.v, row)
		n[i] = F(fg)*n[i] + share*k
	}
	return m
}

// read writes h, and returns the normaliser with its sum before max and eps.
func (st mlstmStep[F]) read(s MLSTM, c, n []F, m float64, h []F) (norm, den float64, linear bool) {
	den = s.ScaleQ * float64(dot(st.q, n))
	norm, linear = s.normaliser(den, m)
	clear(h)
	share := F(s.ScaleQ / norm)
	for i, q := range st.q {
		axpy(share*q, c[i*s.DHV:(i+1)*s.DHV], h)
	}
	return norm, den, linear
}

// MLSTMRecurrentForward computes what MLSTMForward computes, one step after the
// other; s.Chunk is ignored.
func MLSTMRecurrentForward[F Float](s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F]) {
	s.Chunk = 1
	parallelWork(s.B*s.NH, 2*s.T*s.size(), func(item int) {
		c, n, m := mlstmHead(s, last, item)
		m64 := mlstmBegin(s, state, item, c, n)
		in := mlstmItem(s, item, q, k, v, i, f)
		_, ov, _ := s.offsets(item)
		for t := range s.T {
			st := in.step(s, t)
			m64 = st.update(s, c, n, m64)
			st.read(s, c, n, m64, h[ov+t*in.ldv:][:s.DHV])
		}
		m[0] = F(m64)
	})
}

// MLSTMRecurrentBackward computes the gradients of MLSTMRecurrentForward by
// going back through its steps. It keeps the memory of every step, T matrices a
// head: right for short sequences and for checking, not for training.
func MLSTMRecurrentBackward[F Float](s MLSTM, q, k, v, i, f []F, state MLSTMState[F], dh []F, dLast MLSTMState[F], grads MLSTMGrads[F]) {
	s.Chunk = 1
	Parallel(s.B*s.NH, func(item int) {
		oq, ov, og := s.offsets(item)
		in := mlstmItem(s, item, q, k, v, i, f)
		per := s.size() + s.DQK
		buf, release := scratch[F](per*(s.T+2) + s.DHV)
		defer release()
		ms := make([]float64, s.T+1)
		ms[0] = mlstmBegin(s, state, item, buf[:s.size()], buf[s.size():per])
		for t := range s.T {
			next := buf[per*(t+1):][:per]
			copy(next, buf[per*t:][:per])
			ms[t+1] = in.step(s, t).update(s, next[:s.size()], next[s.size():], ms[t])
		}
		b := recurrentBack[F]{MLSTM: s, dc: buf[per*(s.T+1):][:s.size()], dn: buf[per*(s.T+1)+s.size():][:s.DQK], h: buf[per*(s.T+2):]}
		b.seed(dLast, item)
		for t := s.T - 1; t >= 0; t-- {
			var dht []F
			if dh != nil {
				dht = dh[ov+t*in.ldv:][:s.DHV]
			}
			b.dq, b.dk, b.dv = grads.Q[oq+t*in.ldq:][:s.DQK], grads.K[oq+t*in.ldq:][:s.DQK], grads.V[ov+t*in.ldv:][:s.DHV]
			di, df := b.step(in.step(s, t), buf[per*t:][:per], buf[per*(t+1):][:per], ms[t], ms[t+1], dht)
			grads.I[og+t*in.ldg], grads.F[og+t*in.ldg] = F(di), F(df)
		}
		b.finish(grads.State, item)
	})
}

// recurrentBack holds the gradients of the memory between two steps.
type recurrentBack[F Float] struct {
	MLSTM
	dc, dn, h  []F
	dm         float64
	dq, dk, dv []F
}

func (b *recurrentBack[F]) seed(dLast MLSTMState[F], item int) {
	clear(b.dc)
	clear(b.dn)
	if dLast.C != nil {
		c, n, m := mlstmHead(b.MLSTM, dLast, item)
		copy(b.dc, c)
		copy(b.dn, n)
		b.dm = float64(m[0])
	}
}

func (b *recurrentBack[F]) finish(dState MLSTMState[F], item int) {
	if dState.C != nil {
		c, n, m := mlstmHead(b.MLSTM, dState, item)
		copy(c, b.dc)
		copy(n, b.dn)
		m[0] = F(b.dm)
	}
}

// readBack takes the reading of the memory [C|n] back.
func (b *recurrentBack[F]) readBack(st mlstmStep[F], memory []F, m float64, dh []F) {
	c, n := memory[:b.size()], memory[b.size():]
	norm, den, linear := st.read(b.MLSTM, c, n, m, b.h)
	s := float64(dot(dh, b.h))
	var dden float64
	if linear {
		dden = -s / norm * math.Copysign(1, den)
	} else {
		// exp(−m)/N without the overflow of either.
		b.dm += s / (1 + b.Eps*math.Exp(m))
	}
	for i, q := range st.q {
		row := c[i*b.DHV : (i+1)*b.DHV]
		b.dq[i] = F(b.ScaleQ * (float64(dot(dh, row))/norm + dden*float64(n[i])))
		axpy(F(b.ScaleQ/norm)*q, dh, b.dc[i*b.DHV:(i+1)*b.DHV])
		b.dn[i] += F(dden*b.ScaleQ) * q
	}
}

// step takes one step back, from the memory after it to the memory before.
func (b *recurrentBack[F]) step(st mlstmStep[F], before, after []F, m, mNew float64, dh []F) (di, df float64) {
	clear(b.dq)
	if dh != nil {
		b.readBack(st, after, mNew, dh)
	}
	ig, fg, _ := st.gates(m)
	clear(b.dv)
	var dig float64
	for i, k := range st.k {
		row := b.dc[i*b.DHV : (i+1)*b.DHV]
		share := dot(row, st.v) + b.dn[i]
		dig += b.ScaleK * float64(k*share)
		b.dk[i] = F(ig*b.ScaleK) * share
		axpy(F(ig*b.ScaleK)*k, row, b.dv)
	}
	dfg := dot64(b.dc, before[:b.size()]) + dot64(b.dn, before[b.size():])
	di, dlf := ig*dig, fg*dfg
	b.dm -= di + dlf
	if logForget(st.f)+m >= st.i {
		dlf += b.dm
	} else {
		di += b.dm
		b.dm = 0
	}
	b.dm += fg * dfg
	scaleTo(F(fg), b.dc, b.dc)
	scaleTo(F(fg), b.dn, b.dn)
	return di, dlf * sigmoid(-st.f)
}
