package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// The recurrent form follows the equations of the cell step by step. It shares
// nothing with the chunkwise form but the shapes, so that each is a check of the
// other. Per step it does less work than a chunk of one step, which suits decoding.

// mlstmStep is the data of one step of the recurrence besides the memory.
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

// gates returns i', f' and m' of a step, given the stabiliser m before it.
func (st mlstmStep[F]) gates(m float64) (ig, fg, mNew float64) {
	lf := logForget(st.f) + m
	mNew = float64(F(max(lf, st.i)))
	return math.Exp(st.i - mNew), math.Exp(lf - mNew), mNew
}

// update updates the memory by one step and returns the new stabiliser.
func (st mlstmStep[F]) update(s MLSTM, mem mlstmMemory[F], m float64) float64 {
	ig, fg, m := st.gates(m)
	share := F(ig * s.ScaleK)
	multiply(false, false, s.DQK, s.DHV, 1, share, matrix[F]{st.k, 1}, matrix[F]{st.v, s.DHV}, F(fg), mem.c)
	vec.Scale(mem.n, F(fg), mem.n)
	vec.Axpy(mem.n, share, st.k)
	return m
}

// read computes h and returns the normaliser and its sum before max and eps.
func (st mlstmStep[F]) read(s MLSTM, mem mlstmMemory[F], m float64, h []F) (norm, den float64, linear bool) {
	den = s.ScaleQ * float64(vec.Dot(st.q, mem.n))
	norm, linear = s.normaliser(den, math.Exp(-m))
	apply(true, s.DQK, s.DHV, F(s.ScaleQ/norm), mem.c, st.q, 0, h)
	return norm, den, linear
}

// MLSTMRecurrentForward computes the same as MLSTMForward, step by step. It ignores
// s.Chunk.
func MLSTMRecurrentForward[F Float](s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F]) {
	if s.Resets = s.Resets.some(); s.Resets != nil {
		mlstmResetForward(MLSTMRecurrentForward[F], s, q, k, v, i, f, state, h, last)
		return
	}
	s.Chunk = 1
	parallelWork(s.B*s.NH, 2*s.T*s.size(), func(item int) {
		c, n, m := mlstmHead(s, last, item)
		mem := mlstmMemory[F]{matrix[F]{c, s.DHV}, n}
		m64 := mlstmBegin(s, state, item, mem)
		in := mlstmItem(s, item, q, k, v, i, f)
		_, ov, _ := s.offsets(item)
		for t := range s.T {
			st := in.step(s, t)
			m64 = st.update(s, mem, m64)
			st.read(s, mem, m64, h[ov+t*in.ldv:][:s.DHV])
		}
		m[0] = F(m64)
	})
}

// MLSTMRecurrentBackward computes the gradients of MLSTMRecurrentForward step by
// step. It keeps the memory of every step, T matrices per head: suitable for short
// sequences and for checking, not for training.
func MLSTMRecurrentBackward[F Float](s MLSTM, q, k, v, i, f []F, state MLSTMState[F], dh []F, dLast MLSTMState[F], grads MLSTMGrads[F]) {
	if s.Resets = s.Resets.some(); s.Resets != nil {
		qk, hv := s.NH*s.DQK, s.NH*s.DHV
		mlstmResetBackward(s, dh, dLast, grads, func(p mlstmSpan, dh []F, dLast MLSTMState[F], grads MLSTMGrads[F]) {
			MLSTMRecurrentBackward(p.alone(), rows(p, q, qk), rows(p, k, qk), rows(p, v, hv), rows(p, i, s.NH), rows(p, f, s.NH), mlstmSpanState(p, state), dh, dLast, grads)
		})
		return
	}
	s.Chunk = 1
	Parallel(s.B*s.NH, func(item int) {
		oq, ov, og := s.offsets(item)
		in := mlstmItem(s, item, q, k, v, i, f)
		b := recurrentBack[F]{MLSTM: s}
		var space arena[F]
		b.layOut(&space)
		defer giveBack(space.claim())
		b.layOut(&space)
		ms := make([]float64, s.T+1)
		ms[0] = mlstmBegin(s, state, item, b.memory(0))
		for t := range s.T {
			b.memory(t + 1).set(b.memory(t))
			ms[t+1] = in.step(s, t).update(s, b.memory(t+1), ms[t])
		}
		b.seed(dLast, item)
		for t := s.T - 1; t >= 0; t-- {
			var dht []F
			if dh != nil {
				dht = dh[ov+t*in.ldv:][:s.DHV]
			}
			b.dq, b.dk, b.dv = grads.Q[oq+t*in.ldq:][:s.DQK], grads.K[oq+t*in.ldq:][:s.DQK], grads.V[ov+t*in.ldv:][:s.DHV]
			di, df := b.step(in.step(s, t), b.memory(t), b.memory(t+1), ms[t], ms[t+1], dht)
			grads.I[og+t*in.ldg], grads.F[og+t*in.ldg] = F(di), F(df)
		}
		b.finish(grads.State, item)
	})
}

// recurrentBack is the backward pass of one head of one sequence.
type recurrentBack[F Float] struct {
	MLSTM
	memories   []F            // before every step and after the last
	dmem       mlstmMemory[F] // the gradient of the memory between two steps
	dm         float64        // and of the stabiliser
	h          []F
	dq, dk, dv []F
}

// layOut takes the scratch space from the arena.
func (b *recurrentBack[F]) layOut(space *arena[F]) {
	b.memories = space.take((b.T + 1) * (b.size() + b.DQK))
	b.dmem = mlstmMemory[F]{space.matrix(b.DQK, b.DHV), space.take(b.DQK)}
	b.h = space.take(b.DHV)
}

// memory returns the memory before step t.
func (b *recurrentBack[F]) memory(t int) mlstmMemory[F] { return memoryAt(b.MLSTM, b.memories, t) }

func (b *recurrentBack[F]) seed(dLast MLSTMState[F], item int) {
	clear(b.dmem.c.data)
	clear(b.dmem.n)
	c, n, m := mlstmHead(b.MLSTM, dLast, item)
	copy(b.dmem.c.data, c)
	copy(b.dmem.n, n)
	if m != nil {
		b.dm = float64(m[0])
	}
}

func (b *recurrentBack[F]) finish(dState MLSTMState[F], item int) {
	if dState.C != nil {
		c, n, m := mlstmHead(b.MLSTM, dState, item)
		copy(c, b.dmem.c.data)
		copy(n, b.dmem.n)
		m[0] = F(b.dm)
	}
}

// readBack is the backward pass of read.
func (b *recurrentBack[F]) readBack(st mlstmStep[F], mem mlstmMemory[F], m float64, dh []F) {
	norm, den, linear := st.read(b.MLSTM, mem, m, b.h)
	s := float64(vec.Dot(dh, b.h))
	var dden float64
	if linear {
		dden = -s / norm * math.Copysign(1, den)
	} else {
		// exp(−m)/N, without overflow in either.
		b.dm += s / (1 + b.Eps*math.Exp(m))
	}
	apply(false, b.DQK, b.DHV, F(b.ScaleQ/norm), mem.c, dh, 0, b.dq)
	vec.Axpy(b.dq, F(b.ScaleQ*dden), mem.n)
	multiply(false, false, b.DQK, b.DHV, 1, F(b.ScaleQ/norm), matrix[F]{st.q, 1}, matrix[F]{dh, b.DHV}, 1, b.dmem.c)
	vec.Axpy(b.dmem.n, F(dden*b.ScaleQ), st.q)
}

// step is the backward pass of one step, from the memory after it to the one before.
func (b *recurrentBack[F]) step(st mlstmStep[F], before, after mlstmMemory[F], m, mNew float64, dh []F) (di, df float64) {
	clear(b.dq)
	if dh != nil {
		b.readBack(st, after, mNew, dh)
	}
	ig, fg, _ := st.gates(m)
	// The gradient of i'·k̂ is δC·v + δn.
	apply(false, b.DQK, b.DHV, 1, b.dmem.c, st.v, 0, b.dk)
	vec.Axpy(b.dk, 1, b.dmem.n)
	dig := b.ScaleK * float64(vec.Dot(st.k, b.dk))
	vec.Scale(b.dk, F(ig*b.ScaleK), b.dk)
	apply(true, b.DQK, b.DHV, F(ig*b.ScaleK), b.dmem.c, st.k, 0, b.dv)
	dfg := b.dmem.dot(before)
	di, dlf := ig*dig, fg*dfg
	b.dm -= di + dlf
	if logForget(st.f)+m >= st.i {
		dlf += b.dm
	} else {
		di += b.dm
		b.dm = 0
	}
	b.dm += fg * dfg
	vec.Scale(b.dmem.c.data, F(fg), b.dmem.c.data)
	vec.Scale(b.dmem.n, F(fg), b.dmem.n)
	return di, dlf * sigmoid(-st.f)
}
