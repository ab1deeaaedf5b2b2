package cpu

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// bindProduct binds what multiplies with weights.
func bindProduct[F kernels.Float](op ops.Op, a *operands) device.Launch {
	switch op := op.(type) {
	case ops.Linear:
		return linear[F](op, a)
	case ops.LinearGrad:
		return linearGrad[F](op, a)
	case ops.Headwise:
		x, w, b, y := in[F](a), in[F](a), inIf[F](a, op.Bias), out[F](a)
		return always(func() { kernels.HeadwiseForward(headwise(op), x.get(), w.get(), b.get(), y.get()) })
	case ops.HeadwiseGrad:
		x, w, dy := in[F](a), in[F](a), in[F](a)
		dx, dw, db := out[F](a), out[F](a), outIf[F](a, op.Bias)
		return always(func() {
			kernels.HeadwiseBackward(headwise(op.Headwise), x.get(), w.get(), dy.get(), dx.get(), dw.get(), db.get())
		})
	case ops.MLSTMGates:
		return mlstmGates[F](op, a)
	case ops.MLSTMGatesGrad:
		return mlstmGatesGrad[F](op, a)
	case ops.Embedding:
		return embedding[F](op, a)
	case ops.EmbeddingGrad:
		return embeddingGrad[F](op, a)
	case ops.HeadOuter:
		return three(kernels.HeadOuter[F], op.N*op.Heads, op.A, op.B, a)
	case ops.HeadLeft:
		return three(kernels.HeadLeft[F], op.N*op.Heads, op.A, op.B, a)
	case ops.HeadRight:
		return three(kernels.HeadRight[F], op.N*op.Heads, op.A, op.B, a)
	}
	return nil
}

// always is a launch that cannot fail.
func always(f func()) device.Launch {
	return func() error {
		f()
		return nil
	}
}

// three binds a product of blocks.
func three[F kernels.Float](f func(blocks, na, nb int, a, b, y []F), blocks, na, nb int, a *operands) device.Launch {
	x, y, z := in[F](a), in[F](a), out[F](a)
	return always(func() { f(blocks, na, nb, x.get(), y.get(), z.get()) })
}

func headwise(op ops.Headwise) kernels.Headwise {
	return kernels.Headwise{N: op.N, Heads: op.Heads, In: op.In, Out: op.Out, Row: op.Row, Stride: op.Stride}
}

func linear[F kernels.Float](op ops.Linear, a *operands) device.Launch {
	x, w, b := in[F](a), in[F](a), inIf[F](a, op.Bias)
	ys, cuts := outs[F](a), op.Blocks()
	if op.Rows == 1 {
		row, results := kernels.NewRowLinear[F](op.In, op.Outs), make([][]F, len(ys))
		return always(func() { row.Run(x.data, w.data, b.get(), dataOf(ys, results)) })
	}
	return always(func() {
		for _, c := range cuts {
			var bias []F
			if b != nil {
				bias = b.data[c.Row : c.Row+c.Width]
			}
			kernels.Linear(op.Rows, op.In, c.Width, x.data, op.In, w.data[c.Row*op.In:], op.In, bias, ys[c.Out].data, false)
		}
	})
}

func linearGrad[F kernels.Float](op ops.LinearGrad, a *operands) device.Launch {
	x, w, dys := in[F](a), in[F](a), some[F](a, op.Has)
	grads := outs[F](a)
	dx, dw := grads[0], grads[1]
	cuts, complete := op.Blocks(), !slices.Contains(op.Has, false)
	maps := make([]kernels.LinearGrad[F], 0, len(cuts))
	return always(func() {
		if !complete {
			for _, g := range grads {
				clear(g.data)
			}
		}
		maps = maps[:0]
		for _, c := range cuts {
			dy := dys[c.Out].get()
			if dy == nil {
				continue
			}
			from, to := c.Row*op.In, (c.Row+c.Width)*op.In
			maps = append(maps, kernels.LinearGrad[F]{Out: c.Width, DY: dy, W: w.data[from:to], DW: dw.data[from:to]})
			if op.Bias {
				kernels.ColumnSums(op.Rows, c.Width, dy, grads[2].data[c.Row:c.Row+c.Width])
			}
		}
		kernels.LinearGrads(op.Rows, op.In, x.data, dx.data, maps)
	})
}

func mlstmGates[F kernels.Float](op ops.MLSTMGates, a *operands) device.Launch {
	s := kernels.MLSTMGates{N: op.N, NH: op.NH, Widths: op.Widths}
	x, p, y := ins[F](a, 3), ins[F](a, 4), outs[F](a)
	return always(func() {
		params := kernels.MLSTMGatesParams[F]{W: [2][]F{p[0].data, p[2].data}, B: [2][]F{p[1].data, p[3].data}}
		kernels.MLSTMGatesForward(s, [3][]F{x[0].data, x[1].data, x[2].data}, params, [2][]F{y[0].data, y[1].data})
	})
}

func mlstmGatesGrad[F kernels.Float](op ops.MLSTMGatesGrad, a *operands) device.Launch {
	s := kernels.MLSTMGates{N: op.N, NH: op.NH, Widths: op.Widths}
	x, w, dys, d := ins[F](a, 3), ins[F](a, 2), some[F](a, op.Has[:]), outs[F](a)
	return always(func() {
		params := kernels.MLSTMGatesParams[F]{W: [2][]F{w[0].data, w[1].data}}
		grads := kernels.MLSTMGatesParams[F]{W: [2][]F{d[3].data, d[5].data}, B: [2][]F{d[4].data, d[6].data}}
		kernels.MLSTMGatesBackward(s, [3][]F{x[0].data, x[1].data, x[2].data}, params, [2][]F{dys[0].get(), dys[1].get()},
			[3][]F{d[0].data, d[1].data, d[2].data}, grads)
	})
}
