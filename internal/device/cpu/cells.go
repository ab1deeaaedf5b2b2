package cpu

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// bindCell binds what carries something over time.
func bindCell[F kernels.Float](op ops.Op, a *operands) device.Launch {
	switch op := op.(type) {
	case ops.Conv:
		return conv[F](op, a)
	case ops.ConvGrad:
		return convGrad[F](op, a)
	case ops.MLSTM:
		return mlstm[F](op, a)
	case ops.MLSTMGrad:
		return mlstmGrad[F](op, a)
	case ops.SLSTM:
		return slstm[F](op, a)
	case ops.SLSTMGrad:
		return slstmGrad[F](op, a)
	case ops.LSTM:
		return lstm[F](op, a)
	case ops.LSTMGrad:
		return lstmGrad[F](op, a)
	case ops.Simplified:
		return simplified[F](op, a)
	case ops.SimplifiedGrad:
		return simplifiedGrad[F](op, a)
	}
	return nil
}

// convOf returns the description of a convolution for a run.
func convOf(op ops.Conv, resets *vector[int]) kernels.Conv {
	return kernels.Conv{B: op.B, T: op.T, D: op.D, K: op.K, SiLU: op.SiLU, Resets: resets.get()}
}

func conv[F kernels.Float](op ops.Conv, a *operands) device.Launch {
	x, w, b, window, resets := in[F](a), in[F](a), in[F](a), inIf[F](a, op.Window), ints(a, op.Resets)
	y, next := out[F](a), out[F](a)
	return always(func() {
		kernels.ConvForward(convOf(op, resets), x.data, w.data, b.data, window.get(), y.data, next.data)
	})
}

func convGrad[F kernels.Float](op ops.ConvGrad, a *operands) device.Launch {
	x, w, b, window := in[F](a), in[F](a), in[F](a), inIf[F](a, op.Window)
	dys, resets := some[F](a, op.Has[:]), ints(a, op.Resets)
	dx, dw, db, dWindow := out[F](a), out[F](a), out[F](a), outIf[F](a, op.Window)
	return always(func() {
		kernels.ConvBackward(convOf(op.Conv, resets), x.data, w.data, b.data, window.get(), dys[0].get(), dys[1].get(),
			dx.data, dw.data, db.data, dWindow.get())
	})
}

// memory is the state of an mLSTM cell, or its gradient.
type memory[F kernels.Float] struct{ c, n, m *vector[F] }

func memoryIn[F kernels.Float](a *operands, has bool) memory[F] {
	return memory[F]{inIf[F](a, has), inIf[F](a, has), inIf[F](a, has)}
}

func memoryOut[F kernels.Float](a *operands, has bool) memory[F] {
	return memory[F]{outIf[F](a, has), outIf[F](a, has), outIf[F](a, has)}
}

func (s memory[F]) get() kernels.MLSTMState[F] {
	return kernels.MLSTMState[F]{C: s.c.get(), N: s.n.get(), M: s.m.get()}
}

// mlstmOf returns the description of a cell for a run.
func mlstmOf(op ops.MLSTM, resets *vector[int]) kernels.MLSTM {
	s := kernels.MLSTM{B: op.B, T: op.T, NH: op.NH, DQK: op.DQK, DHV: op.DHV, ScaleQ: op.ScaleQ, ScaleK: op.ScaleK, Eps: op.Eps, Resets: resets.get()}
	if op.Form == ops.Chunkwise {
		if s.Chunk = op.Chunk; op.Chunk == ops.DefaultChunk {
			s.Chunk = s.BestChunk(op.State)
		}
	}
	return s
}

func mlstm[F kernels.Float](op ops.MLSTM, a *operands) device.Launch {
	x, state, resets := ins[F](a, 5), memoryIn[F](a, op.State), ints(a, op.Resets)
	h, last, tape := out[F](a), memoryOut[F](a, true), outIf[F](a, op.Tape > 0)
	return always(func() {
		s := mlstmOf(op, resets)
		q, k, v, i, f := x[0].data, x[1].data, x[2].data, x[3].data, x[4].data
		if op.Form == ops.Recurrent {
			kernels.MLSTMRecurrentForward(s, q, k, v, i, f, state.get(), h.data, last.get())
			return
		}
		kernels.MLSTMTapedForward(s, q, k, v, i, f, state.get(), h.data, last.get(), tape.get())
	})
}

// mlstmGradsOut returns what gives the gradients that an mLSTM's derivative writes.
func mlstmGradsOut[F kernels.Float](a *operands, state bool) func() kernels.MLSTMGrads[F] {
	var g [5]*vector[F]
	for k := range g {
		g[k] = out[F](a)
	}
	dState := memoryOut[F](a, state)
	return func() kernels.MLSTMGrads[F] {
		return kernels.MLSTMGrads[F]{Q: g[0].data, K: g[1].data, V: g[2].data, I: g[3].data, F: g[4].data, State: dState.get()}
	}
}

func mlstmGrad[F kernels.Float](op ops.MLSTMGrad, a *operands) device.Launch {
	x, state := ins[F](a, 5), memoryIn[F](a, op.State)
	h, tape, d := in[F](a), inIf[F](a, op.Tape > 0), some[F](a, op.Has[:])
	dLast, resets := memory[F]{d[1], d[2], d[3]}, ints(a, op.Resets)
	grads := mlstmGradsOut[F](a, op.State)
	return always(func() {
		s := mlstmOf(op.MLSTM, resets)
		q, k, v, i, f := x[0].data, x[1].data, x[2].data, x[3].data, x[4].data
		if op.Form == ops.Recurrent {
			kernels.MLSTMRecurrentBackward(s, q, k, v, i, f, state.get(), d[0].get(), dLast.get(), grads())
			return
		}
		kernels.MLSTMTapedBackward(s, q, k, v, i, f, state.get(), h.data, tape.get(), d[0].get(), dLast.get(), grads())
	})
}

// slstmOf returns the description of a scan for a run.
func slstmOf(op ops.SLSTM, resets *vector[int]) kernels.SLSTM {
	return kernels.SLSTM{B: op.B, T: op.T, NH: op.NH, DH: op.DH, Clip: op.Clip, Resets: resets.get()}
}

func slstm[F kernels.Float](op ops.SLSTM, a *operands) device.Launch {
	x, r, b, state, resets := ins[F](a, 4), in[F](a), in[F](a), inIf[F](a, op.State), ints(a, op.Resets)
	y, next, tape := out[F](a), out[F](a), out[F](a)
	return always(func() {
		s := slstmOf(op, resets)
		kernels.SLSTMForward(s, [4][]F{x[0].data, x[1].data, x[2].data, x[3].data}, r.data, b.data, state.get(), y.data, next.data, kernels.SLSTMTapeOf(s, tape.data))
	})
}

func slstmGrad[F kernels.Float](op ops.SLSTMGrad, a *operands) device.Launch {
	r, y, next, tape, state := in[F](a), in[F](a), in[F](a), in[F](a), inIf[F](a, op.State)
	dys, resets := some[F](a, op.Has[:]), ints(a, op.Resets)
	g := outs[F](a)
	return always(func() {
		s := slstmOf(op.SLSTM, resets)
		grads := kernels.SLSTMGrads[F]{X: [4][]F{g[0].data, g[1].data, g[2].data, g[3].data}, R: g[4].data, Bias: g[5].data}
		if op.State {
			grads.State = g[6].data
		}
		kernels.SLSTMBackward(s, r.data, state.get(), y.data, next.data, kernels.SLSTMTapeOf(s, tape.data), dys[0].get(), dys[1].get(), grads)
	})
}

// lstmOf returns the description of a scan for a run.
func lstmOf(op ops.LSTM, resets *vector[int]) kernels.LSTM {
	return kernels.LSTM{B: op.B, T: op.T, H: op.H, Resets: resets.get()}
}

func lstm[F kernels.Float](op ops.LSTM, a *operands) device.Launch {
	x, r, b, state, resets := in[F](a), in[F](a), in[F](a), inIf[F](a, op.State), ints(a, op.Resets)
	h, next, tape := out[F](a), out[F](a), out[F](a)
	return always(func() {
		s := lstmOf(op, resets)
		kernels.LSTMForward(s, x.data, r.data, b.data, state.get(), h.data, next.data, kernels.LSTMTapeOf(s, tape.data))
	})
}

func lstmGrad[F kernels.Float](op ops.LSTMGrad, a *operands) device.Launch {
	r, h, _, tape, state := in[F](a), in[F](a), in[F](a), in[F](a), inIf[F](a, op.State)
	dys, resets := some[F](a, op.Has[:]), ints(a, op.Resets)
	dx, dr, db, dState := out[F](a), out[F](a), out[F](a), outIf[F](a, op.State)
	return always(func() {
		s := lstmOf(op.LSTM, resets)
		grads := kernels.LSTMGrads[F]{X: dx.data, R: dr.data, Bias: db.data, State: dState.get()}
		kernels.LSTMBackward(s, r.data, state.get(), h.data, kernels.LSTMTapeOf(s, tape.data), dys[0].get(), dys[1].get(), grads)
	})
}

// simplifiedOf returns the description of a scan for a run.
func simplifiedOf(op ops.Simplified, resets *vector[int]) kernels.Simplified {
	return kernels.Simplified{B: op.B, T: op.T, H: op.H, Eps: op.Eps, Resets: resets.get()}
}

func simplified[F kernels.Float](op ops.Simplified, a *operands) device.Launch {
	x, w, state, resets := in[F](a), ins[F](a, 3), inIf[F](a, op.State), ints(a, op.Resets)
	h, next, tape := out[F](a), out[F](a), out[F](a)
	return always(func() {
		s := simplifiedOf(op, resets)
		kernels.SimplifiedForward(s, x.data, simplifiedWeights(w), state.get(), h.data, next.data, kernels.SimplifiedTapeOf(s, tape.data))
	})
}

func simplifiedGrad[F kernels.Float](op ops.SimplifiedGrad, a *operands) device.Launch {
	w, h, _, tape, state := ins[F](a, 3), in[F](a), in[F](a), in[F](a), inIf[F](a, op.State)
	dys, resets := some[F](a, op.Has[:]), ints(a, op.Resets)
	dx, dw, dState := out[F](a), []*vector[F]{out[F](a), out[F](a), out[F](a)}, outIf[F](a, op.State)
	return always(func() {
		s := simplifiedOf(op.Simplified, resets)
		grads := kernels.SimplifiedGrads[F]{X: dx.data, W: simplifiedWeights(dw), State: dState.get()}
		kernels.SimplifiedBackward(s, simplifiedWeights(w), state.get(), h.data, kernels.SimplifiedTapeOf(s, tape.data), dys[0].get(), dys[1].get(), grads)
	})
}

// simplifiedWeights are the weights among operands, or their gradients.
func simplifiedWeights[F kernels.Float](w []*vector[F]) kernels.SimplifiedWeights[F] {
	return kernels.SimplifiedWeights[F]{R: w[0].data, Norms: w[1].data, M: w[2].data}
}
