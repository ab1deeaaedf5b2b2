package cpu

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// Fusing is the CPU with kernels of its own for composites, which read and write
// memory less often than the operations that they stand for, and with operations
// that it repeats rather than keep their results.
type Fusing struct{ Device }

// Fuses reports whether there is a kernel for a composite.
func (Fusing) Fuses(op ops.Composite) bool {
	switch op := op.(type) {
	case ops.MLSTMEntry:
		return entryFits(op)
	case ops.MLSTMEntryGrad:
		return entryFits(op.MLSTMEntry)
	case ops.MLSTMOutput:
		return op.Form != ops.Recurrent && op.T > 1 && !op.Resets
	case ops.MLSTMMapped:
		return mappedFits(op.MLSTM, op.Map) && (!op.Alone || !op.Resets)
	case ops.MLSTMMappedGrad:
		return mappedFits(op.MLSTM, op.Map)
	case ops.SLSTMMapped:
		return slstmMappedFits(op.SLSTM, op.Map)
	case ops.SLSTMMappedGrad:
		return slstmMappedFits(op.SLSTM, op.Map)
	case ops.EmbeddedLinear:
		return embeddedLinearFits(op)
	case ops.EmbeddedLinearGrad:
		return embeddedLinearFits(op.EmbeddedLinear)
	case ops.MLSTMExit, ops.MLSTMExitGrad, ops.AddNorm, ops.NormGradAdd:
		return true
	}
	return false
}

// entryFits reports whether an entry has the official shape: SiLU of a convolution
// over four steps, and maps of four columns. A single step is faster alone.
func entryFits(op ops.MLSTMEntry) bool {
	c, m := op.Conv, op.Map
	return c.K == 4 && c.SiLU && c.T > 1 && m.In == 4 && m.Out == 4 && m.Stride == 4 && m.Row == 0 && !m.Bias
}

// mappedFits reports whether a cell can map its own inputs.
func mappedFits(op ops.MLSTM, m ops.Headwise) bool {
	return op.Form != ops.Recurrent && op.T > 1 && op.DQK == op.DHV && op.DQK%4 == 0 && m.In == 4 && m.Out == 4 && m.Stride == 4 && !m.Bias
}

// slstmMappedFits reports whether a scan is long enough, and its heads are wide enough, for
// the layout of weights to pay.
func slstmMappedFits(op ops.SLSTM, m ops.Headwise) bool {
	return op.T >= 8 && op.DH >= 12 && m.In == op.DH && m.Out == op.DH && m.Stride == op.DH && !m.Bias
}

// longestKept is the largest number of floats in a result that is kept for the backward
// pass: as many as 4,096 steps of an mLSTM layer of width 256 have.
const longestKept = 1 << 21

// Recomputes reports whether an operation takes little time beside the memory that its
// results take.
func (Fusing) Recomputes(op ops.Op) bool {
	switch op := op.(type) {
	case ops.Norm:
		return op.N*op.Width > longestKept
	case ops.Gated:
		return op.Shape.Size() > longestKept
	case ops.MLSTMExit:
		return op.Norm.N*op.Norm.Width > longestKept
	case ops.MLSTMEntry:
		return op.Conv.B*op.Conv.T*op.Conv.D > longestKept
	}
	return false
}

// longestTape is the largest number of floats on the tape of an mLSTM cell: that of 4
// heads of 128 over 4,096 steps. In longer sequences it would be most of the memory of
// a step, of which the derivative takes a few per cent less time.
const longestTape = 1 << 22

// Tape returns the length of a cell's tape: the memories between its chunks and the
// denominators of its steps, unless they are too many.
func (Fusing) Tape(op ops.MLSTM, _ ops.Dtype) int {
	if op.Form == ops.Recurrent || op.Resets {
		return 0
	}
	if n := mlstmOf(op, nil).TapeLen(); n <= longestTape {
		return n
	}
	return 0
}

// Over returns the results that kernels may write over inputs: element by element,
// row by row, in the mLSTM chunk by chunk, in the sLSTM some steps at a time, or in the
// LSTM step by step.
func (Fusing) Over(op ops.Op) [][2]int {
	switch op := op.(type) {
	case ops.Add:
		return [][2]int{{0, 0}, {0, 1}}
	case ops.AddNorm:
		return [][2]int{{0, 1}, {0, 0}}
	case ops.ForkGrad:
		return [][2]int{{0, 0}}
	case ops.ActivateGrad:
		return [][2]int{{0, 1}, {0, 0}}
	case ops.GatedGrad:
		return [][2]int{{0, 0}, {1, 1}}
	case ops.NormGrad:
		return [][2]int{{0, len(op.Inputs()) - 1}}
	case ops.NormGradAdd:
		return [][2]int{{0, len(op.Inputs()) - 2}}
	case ops.LSTM:
		return [][2]int{{2, 0}} // the gates, at the start of the tape, over their input parts
	case ops.LSTMGrad:
		return [][2]int{{0, 3}} // dx over the gates on the tape
	case ops.MLSTMExitGrad:
		n := len(op.Inputs())
		return [][2]int{{0, n - 1}, {n - 4, n - 4}, {n - 2, n - 2}} // dh over dy, dc over c, dz over z
	case ops.MLSTMMappedGrad: // dq over c, dk over dh, dv over h
		at := len(op.MLSTM.Inputs()) + 2
		if op.Resets {
			at--
		}
		dh := at + 1
		if op.Tape > 0 {
			dh++
		}
		if op.Has[0] {
			return [][2]int{{0, 0}, {1, dh}, {2, at}}
		}
	case ops.SLSTMMappedGrad: // dx over y, and dc over dy
		over := [][2]int{{1, 7}}
		if op.Has[0] {
			at := 10
			if op.State {
				at++
			}
			over = append(over, [2]int{0, at})
		}
		return over
	case ops.MLSTMGrad:
		if op.Form != ops.Recurrent && !op.Resets {
			return [][2]int{{0, 0}, {1, 1}, {2, 2}}
		}
	}
	return nil
}

// Bind prepares op.
func (f Fusing) Bind(op ops.Op, out, in []device.Buffer, workspace device.Buffer) (device.Launch, error) {
	c, ok := op.(ops.Composite)
	if !ok || !f.Fuses(c) {
		return f.Device.Bind(op, out, in, workspace)
	}
	dt, err := device.Check(op, device.Half{}, out, in)
	if err != nil {
		return nil, errors.Wrap(err, "cpu")
	}
	if dt == ops.Float32 {
		return bindFused[float32](c, &operands{in: in, out: out}), nil
	}
	return bindFused[float64](c, &operands{in: in, out: out}), nil
}

func bindFused[F kernels.Float](op ops.Composite, a *operands) device.Launch {
	switch op := op.(type) {
	case ops.MLSTMEntry:
		return mlstmEntry[F](op, a)
	case ops.MLSTMEntryGrad:
		return mlstmEntryGrad[F](op, a)
	case ops.MLSTMMapped:
		return mlstmMapped[F](op, a)
	case ops.MLSTMMappedGrad:
		return mlstmMappedGrad[F](op, a)
	case ops.SLSTMMapped:
		return slstmMapped[F](op, a)
	case ops.SLSTMMappedGrad:
		return slstmMappedGrad[F](op, a)
	case ops.MLSTMOutput:
		x, state, h, tape := ins[F](a, 5), memoryIn[F](a, op.State), out[F](a), outIf[F](a, op.Tape > 0)
		return always(func() {
			kernels.MLSTMTapedForward(mlstmOf(op.MLSTM, nil), x[0].data, x[1].data, x[2].data, x[3].data, x[4].data, state.get(), h.data, kernels.MLSTMState[F]{}, tape.get())
		})
	case ops.MLSTMExit:
		h, w, x, y := in[F](a), inIf[F](a, op.Weight), ins[F](a, 3), out[F](a)
		return always(func() { kernels.MLSTMExit(norm(op.Norm), h.data, w.get(), x[0].data, x[1].data, x[2].data, y.data) })
	case ops.MLSTMExitGrad:
		return mlstmExitGrad[F](op, a)
	case ops.EmbeddedLinear:
		return embeddedLinear[F](op, a)
	case ops.EmbeddedLinearGrad:
		return embeddedLinearGrad[F](op, a)
	case ops.AddNorm:
		x, y, w := in[F](a), in[F](a), inIf[F](a, op.Weight)
		sum, z := out[F](a), out[F](a)
		return always(func() { kernels.AddNorm(norm(op.Norm), x.data, y.data, w.get(), sum.data, z.data) })
	case ops.NormGradAdd:
		x, w, dy, more := in[F](a), inIf[F](a, op.Weight), in[F](a), in[F](a)
		dx, dw := out[F](a), outIf[F](a, op.Weight)
		return always(func() { kernels.NormBackwardAdd(norm(op.Norm), x.data, w.get(), dy.data, more.data, dx.data, dw.get()) })
	}
	return nil
}

func mlstmExitGrad[F kernels.Float](op ops.MLSTMExitGrad, a *operands) device.Launch {
	h, w, x := in[F](a), inIf[F](a, op.Weight), ins[F](a, 4)
	dh, dw := out[F](a), outIf[F](a, op.Weight)
	d := []*vector[F]{out[F](a), out[F](a), out[F](a)}
	return always(func() {
		kernels.MLSTMExitGrad(norm(op.Norm), h.data, w.get(), x[0].data, x[1].data, x[2].data, x[3].data,
			kernels.MLSTMExitGrads[F]{H: dh.data, W: dw.get(), C: d[0].data, Skip: d[1].data, Z: d[2].data})
	})
}

func entryOf(op ops.MLSTMEntry, resets *vector[int]) kernels.MLSTMEntry {
	return kernels.MLSTMEntry{Conv: convOf(op.Conv, resets), NH: op.NH}
}

func mlstmEntry[F kernels.Float](op ops.MLSTMEntry, a *operands) device.Launch {
	x, conv, window, maps, gates := in[F](a), ins[F](a, 2), inIf[F](a, op.Conv.Window), ins[F](a, 3), ins[F](a, 4)
	resets := ints(a, op.Conv.Resets)
	y := outs[F](a)
	return always(func() {
		p := kernels.MLSTMEntryParams[F]{
			W: conv[0].data, Bias: conv[1].data, Maps: [3][]F{maps[0].data, maps[1].data, maps[2].data},
			Gates: kernels.MLSTMGatesParams[F]{W: [2][]F{gates[0].data, gates[2].data}, B: [2][]F{gates[1].data, gates[3].data}},
		}
		kernels.MLSTMEntryForward(entryOf(op, resets), x.data, p, window.get(), y[0].data, y[1].data, [2][]F{y[2].data, y[3].data})
	})
}

func mlstmEntryGrad[F kernels.Float](op ops.MLSTMEntryGrad, a *operands) device.Launch {
	x, conv, window, maps, gates := in[F](a), ins[F](a, 2), inIf[F](a, op.Conv.Window), ins[F](a, 3), ins[F](a, 2)
	up, resets := ins[F](a, 6), ints(a, op.Conv.Resets)
	dx, dConv, dWindow := out[F](a), []*vector[F]{out[F](a), out[F](a)}, outIf[F](a, op.Conv.Window)
	d := outs[F](a)
	return always(func() {
		p := kernels.MLSTMEntryParams[F]{
			W: conv[0].data, Bias: conv[1].data, Maps: [3][]F{maps[0].data, maps[1].data, maps[2].data},
			Gates: kernels.MLSTMGatesParams[F]{W: [2][]F{gates[0].data, gates[1].data}},
		}
		grads := kernels.MLSTMEntryParams[F]{
			W: dConv[0].data, Bias: dConv[1].data, Maps: [3][]F{d[0].data, d[1].data, d[2].data},
			Gates: kernels.MLSTMGatesParams[F]{W: [2][]F{d[3].data, d[5].data}, B: [2][]F{d[4].data, d[6].data}},
		}
		upstream := kernels.MLSTMEntryUpstream[F]{
			QKV: [3][]F{up[0].data, up[1].data, up[2].data}, Gates: [2][]F{up[3].data, up[4].data}, C: up[5].data,
		}
		kernels.MLSTMEntryBackward(entryOf(op.MLSTMEntry, resets), x.data, p, window.get(), upstream, dx.data, grads, dWindow.get())
	})
}

// mapsOf takes the operands of the maps of a cell, and returns what looks them up.
func mapsOf[F kernels.Float](a *operands) func() kernels.MLSTMMaps[F] {
	x, w := ins[F](a, 2), ins[F](a, 3)
	return func() kernels.MLSTMMaps[F] {
		return kernels.MLSTMMaps[F]{C: x[0].data, X: x[1].data, W: [3][]F{w[0].data, w[1].data, w[2].data}}
	}
}

func mlstmMapped[F kernels.Float](op ops.MLSTMMapped, a *operands) device.Launch {
	maps, gates, state, resets := mapsOf[F](a), ins[F](a, 2), memoryIn[F](a, op.State), ints(a, op.Resets)
	h, last, tape := out[F](a), memoryOut[F](a, !op.Alone), outIf[F](a, op.Tape > 0)
	return always(func() {
		kernels.MLSTMMappedForward(mlstmOf(op.MLSTM, resets), maps(), gates[0].data, gates[1].data, state.get(), h.data, last.get(), tape.get())
	})
}

func mlstmMappedGrad[F kernels.Float](op ops.MLSTMMappedGrad, a *operands) device.Launch {
	maps, gates, state := mapsOf[F](a), ins[F](a, 2), memoryIn[F](a, op.State)
	h, tape, d := in[F](a), inIf[F](a, op.Tape > 0), some[F](a, op.Has[:])
	dLast, resets := memory[F]{d[1], d[2], d[3]}, ints(a, op.Resets)
	grads := mlstmGradsOut[F](a, op.State)
	return always(func() {
		kernels.MLSTMMappedBackward(mlstmOf(op.MLSTM, resets), maps(), gates[0].data, gates[1].data, state.get(), h.data, tape.get(), d[0].get(), dLast.get(), grads())
	})
}

// slstmMapsOf takes the operands of the maps of a scan, and returns what looks them up.
func slstmMapsOf[F kernels.Float](a *operands) func() kernels.SLSTMMaps[F] {
	x, w := ins[F](a, 2), ins[F](a, 4)
	return func() kernels.SLSTMMaps[F] {
		return kernels.SLSTMMaps[F]{C: x[0].data, X: x[1].data, W: [4][]F{w[0].data, w[1].data, w[2].data, w[3].data}}
	}
}

func slstmMapped[F kernels.Float](op ops.SLSTMMapped, a *operands) device.Launch {
	maps, r, b, state, resets := slstmMapsOf[F](a), in[F](a), in[F](a), inIf[F](a, op.State), ints(a, op.Resets)
	y, next, tape := out[F](a), out[F](a), out[F](a)
	return always(func() {
		s := slstmOf(op.SLSTM, resets)
		kernels.SLSTMMappedForward(s, maps(), r.data, b.data, state.get(), y.data, next.data, kernels.SLSTMTapeOf(s, tape.data))
	})
}

func slstmMappedGrad[F kernels.Float](op ops.SLSTMMappedGrad, a *operands) device.Launch {
	maps, r, y, next, tape, state := slstmMapsOf[F](a), in[F](a), in[F](a), in[F](a), in[F](a), inIf[F](a, op.State)
	dys, resets := some[F](a, op.Has[:]), ints(a, op.Resets)
	dx, dw, dr, db, dState := []*vector[F]{out[F](a), out[F](a)}, []*vector[F]{out[F](a), out[F](a), out[F](a), out[F](a)}, out[F](a), out[F](a), outIf[F](a, op.State)
	return always(func() {
		s := slstmOf(op.SLSTM, resets)
		grads := kernels.SLSTMMappedGrads[F]{
			C: dx[0].data, X: dx[1].data, W: [4][]F{dw[0].data, dw[1].data, dw[2].data, dw[3].data},
			R: dr.data, Bias: db.data, State: dState.get(),
		}
		kernels.SLSTMMappedBackward(s, maps(), r.data, state.get(), y.data, next.data, kernels.SLSTMTapeOf(s, tape.data), dys[0].get(), dys[1].get(), grads)
	})
}
