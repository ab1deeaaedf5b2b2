//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// exitArgs mirrors the struct Exit of mlstm_exit.cu.
type exitArgs struct {
	n, heads           int64
	eps                float64
	centered, residual int64
	x, c, z            ref
	w, skip            address
}

// exitWarps is WARPS of mlstm_exit.cu, and exitPiece the width of a row of which
// a lane has one piece.
const (
	exitWarps = 4
	exitPiece = 256
)

// exits reports whether there are kernels of mlstm_exit.cu for an operation: each
// head has a number of lanes of a warp, and these have whole pieces of its columns.
func exits(op ops.MLSTMExit) bool {
	return op.Weight && op.Width%exitPiece == 0 && op.Width <= 4*exitPiece && op.Groups > 0 && 32%op.Groups == 0
}

// bindMLSTMExit binds the exit of an mLSTM layer.
func bindMLSTMExit(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.MLSTMExit:
		if !exits(op) {
			return false
		}
		s := b.exitArgs(op)
		b.kernel(s.module(), fmt.Sprintf("mlstm_exit_%d", op.Width/exitPiece), grid{x: ceil(op.N, exitWarps), threads: 32 * exitWarps}, byValue(s), b.writeRef().arg())
	case ops.MLSTMExitGrad:
		if !exits(op.MLSTMExit) {
			return false
		}
		b.mlstmExitGrad(op)
	default:
		return false
	}
	return true
}

func (b *binder) exitArgs(op ops.MLSTMExit) exitArgs {
	s := exitArgs{n: int64(op.N), heads: int64(op.Groups), eps: op.Eps, centered: int64(flag(op.Centered)), residual: int64(flag(op.Residual))}
	s.x, s.w, s.c, s.skip, s.z = b.readRef(), b.read(), b.readRef(), b.read(), b.readRef()
	return s
}

// module returns the name of the kernels' module, of which one takes x, c and z, and more
// operands if there are any, in bfloat16 alone.
func (s exitArgs) module(more ...ref) string {
	if allHalf(append(more, s.x, s.c, s.z)...) {
		return "mlstm_exit_halves"
	}
	return "mlstm_exit"
}

func (b *binder) mlstmExitGrad(op ops.MLSTMExitGrad) {
	s, dy := b.exitArgs(op.MLSTMExit), b.readRef()
	dx, dw, dc, dskip, dz := b.writeRef(), b.write(), b.writeRef(), b.write(), b.writeRef()
	blocks := max(1, min(ceil(op.N, exitWarps), 3*int(b.d.processors)))
	partW, partSkip := b.float(blocks*op.Width), b.float(blocks*op.Width)
	g := grid{x: blocks, threads: 32 * exitWarps, shared: exitWarps * op.Width * b.size()}
	b.kernel(s.module(dy), fmt.Sprintf("mlstm_exit_grad_%d", op.Width/exitPiece), g, byValue(s), dy.arg(), dx.arg(), dc.arg(), dz.arg(), partW, partSkip)
	b.sumParts(partW, dw, blocks, op.Width)
	b.sumParts(partSkip, dskip, blocks, op.Width)
}
