//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// bindRows binds what reduces rows: norms and the loss.
func bindRows(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.Norm:
		x, w, y := b.read(), b.readIf(op.Weight), b.write()
		b.kernel("norm", "norm_forward", b.normGrid(op), append([]any{x, w, y}, b.normArgs(op)...)...)
	case ops.NormGrad:
		b.normGrad(op.Norm)
	case ops.CrossEntropy:
		logits, targets, loss := b.read(), b.read(), b.write()
		rows := b.double(op.N)
		b.kernel("crossentropy", "cross_entropy_rows", grid{x: op.N, threads: rowThreads(op.V)}, logits, targets, rows, int64(op.V))
		b.kernel("crossentropy", "cross_entropy_mean", grid{x: 1, threads: 1024}, rows, targets, loss, address(0), int64(op.N))
	case ops.CrossEntropyGrad:
		logits, targets, g, dlogits := b.read(), b.read(), b.read(), b.write()
		count := b.take(4)
		b.kernel("crossentropy", "cross_entropy_mean", grid{x: 1, threads: 1024}, address(0), targets, address(0), count, int64(op.N))
		b.kernel("crossentropy", "cross_entropy_grad", grid{x: op.N, threads: rowThreads(op.V)}, logits, targets, g, count, dlogits, int64(op.V))
	default:
		return false
	}
	return true
}

// rowThreads is the number of threads for a row of n elements: a multiple of a
// warp, and no more than are of use.
func rowThreads(n int) int { return min(1024, max(32, (n+3)/4/32*32)) }

// normGrid gives a group of columns a warp, or a block where groups are wide.
func (b *binder) normGrid(op ops.Norm) grid {
	lanes, groups := 32, 8
	if width := op.Width / op.Groups; width > 1024 {
		lanes, groups = 256, 1
	}
	n := op.N * op.Groups
	return grid{x: (n + groups - 1) / groups, threads: lanes, rows: groups, shared: 32 * groups * b.size()}
}

// normArgs are the last arguments of the kernels.
func (b *binder) normArgs(op ops.Norm) []any {
	return []any{int64(op.N * op.Groups), int64(op.Groups), int64(op.Width / op.Groups), b.scalar(op.Eps), flag(op.Centered), flag(op.Residual)}
}

func flag(x bool) int32 {
	if x {
		return 1
	}
	return 0
}

func (b *binder) normGrad(op ops.Norm) {
	x, w, dy := b.read(), b.readIf(op.Weight), b.read()
	dx, dw := b.write(), b.writeIf(op.Weight)
	kept := b.float(2 * op.N * op.Groups)
	b.kernel("norm", "norm_backward", b.normGrid(op), append([]any{x, w, dy, dx, kept}, b.normArgs(op)...)...)
	if !op.Weight {
		return
	}
	parts, length := stretches(op.N)
	part := b.float(parts * op.Width)
	b.kernel("norm", "norm_weight_grad", columns(op.Width, parts), x, dy, kept, part,
		int64(op.N), int64(op.Groups), int64(op.Width/op.Groups), int64(length))
	b.sumParts(part, dw, parts, op.Width)
}
