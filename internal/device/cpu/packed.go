package cpu

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/weights"
)

// bindPacked binds what multiplies with packed weights.
func bindPacked[F kernels.Float](op ops.Op, a *operands) device.Launch {
	switch op := op.(type) {
	case ops.PackedLinear:
		return packedLinear[F](op, a)
	case ops.PackedEmbedding:
		ids, w, y := ints(a, true), matrixOf(op.Format, op.D, a), out[F](a)
		return func() error {
			if err := checkIDs(op.V, ids.data); err != nil {
				return err
			}
			kernels.PackedEmbedding(ids.data, w(), y.data)
			return nil
		}
	}
	return nil
}

// matrixOf takes the operands of a packed matrix and returns what looks it up.
func matrixOf(f ops.Format, in int, a *operands) func() weights.Matrix {
	data, scales := bytes(a, true), bytes(a, f.Scaled())
	return func() weights.Matrix {
		return weights.Matrix{Format: f, In: in, Data: data.data, Scales: scales.get()}
	}
}

func packedLinear[F kernels.Float](op ops.PackedLinear, a *operands) device.Launch {
	if _, ok := a.in[0].(*vector[float32]); ok && op.Rows == 1 {
		return packedRowLinear(op, a)
	}
	x, w, b := in[F](a), matrixOf(op.Format, op.In, a), inIf[F](a, op.Bias)
	ys, cuts := outs[F](a), ops.Linear{Outs: op.Outs}.Blocks()
	return always(func() {
		all := w()
		for _, c := range cuts {
			var bias []F
			if b != nil {
				bias = b.data[c.Row : c.Row+c.Width]
			}
			kernels.PackedLinear(op.Rows, x.data, all.Cut(c.Row, c.Row+c.Width), bias, ys[c.Out].data)
		}
	})
}

// packedRowLinear binds a map of a single row.
func packedRowLinear(op ops.PackedLinear, a *operands) device.Launch {
	x, w, b, ys := in[float32](a), matrixOf(op.Format, op.In, a), inIf[float32](a, op.Bias), outs[float32](a)
	row, results := kernels.NewPackedRowLinear(op.In, op.Format.RowBytes(op.In)+op.Format.ScaleBytes(op.In), op.Outs), make([][]float32, len(ys))
	return always(func() { row.Run(x.data, w(), b.get(), dataOf(ys, results)) })
}
