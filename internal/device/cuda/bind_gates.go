//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// gatesArgs mirrors the struct Gates of gates.cu.
type gatesArgs struct {
	n, nh, inputs int64
	width         [3]int64
	x             [3]address
	w, b          [2]address
}

func newGatesArgs(op ops.MLSTMGates) gatesArgs {
	s := gatesArgs{n: int64(op.N), nh: int64(op.NH), inputs: 3}
	for k, width := range op.Widths {
		s.width[k] = int64(width)
	}
	return s
}

func (b *binder) mlstmGates(op ops.MLSTMGates) {
	s := newGatesArgs(op)
	s.x = [3]address(b.readMany(3))
	for g := range s.w {
		s.w[g], s.b[g] = b.read(), b.read()
	}
	i, f := b.write(), b.write()
	const warps, rows = 4, 4 // of a block; ROWS of gates.cu
	b.kernel("gates", "gate_projections", grid{x: (op.N + warps*rows - 1) / (warps * rows), threads: 32 * warps}, byValue(s), i, f)
}

func (b *binder) mlstmGatesGrad(op ops.MLSTMGatesGrad) {
	s := newGatesArgs(op.MLSTMGates)
	s.x, s.w = [3]address(b.readMany(3)), [2]address(b.readMany(2))
	var g struct { // GateGrads of gates.cu
		dy   [2]address
		dx   [3]address
		plus [3]addends
	}
	g.dy, g.dx, g.plus = [2]address(b.readSome(op.Has[:])), [3]address(b.writeMany(3)), b.plus
	out := b.writeMany(4)
	width := op.Widths[0] + op.Widths[1] + op.Widths[2]
	length := max(32, (op.N+63)/64)
	parts := (op.N + length - 1) / length
	size := 2 * op.NH * (width + 1)
	part := b.float(parts * size)
	b.kernel("gates", "gate_grads", strips(width+1, parts), byValue(s), byValue(g), part, int64(length))
	b.kernel("gates", "gate_sums", summing(size, parts), part, out[0], out[1], out[2], out[3], int64(op.NH), int64(width), int64(parts))
}
