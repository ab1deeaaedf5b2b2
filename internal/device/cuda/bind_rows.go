//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// bindRows binds the operations that reduce rows: norms and the loss.
func bindRows(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.Norm:
		x, w, y := b.read(), b.readIf(op.Weight), b.write()
		b.norm("norm_forward", op, x, w, y)
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

// rowThreads returns the number of threads for a row of n elements: a multiple of a
// warp, with at least four elements a thread where that leaves a warp.
func rowThreads(n int) int { return min(1024, max(32, (n+3)/4/32*32)) }

// normArgs mirrors the struct Norm of norm.cu.
type normArgs struct {
	n, groups, width   int64
	eps                float64
	centered, residual int64
}

// norm enqueues a kernel of the norm. A warp takes a group of columns; a wide group
// gets more warps, so that a thread keeps at most 16 columns, or 64 if even a full
// block does not suffice.
func (b *binder) norm(kernel string, op ops.Norm, args ...any) {
	const threads = 256 // of a block, unless a group takes more
	width, lanes, per := op.Width/op.Groups, 32, 4
	for lanes*per < width && per < 16 {
		per *= 2
	}
	for lanes*per < width && lanes < 1024 {
		lanes *= 2
	}
	if lanes*per < width {
		per = 64
	}
	if lanes*per < width && b.err == nil {
		b.err = errors.Errorf("a norm takes groups of %d columns at most on a card, not %d", lanes*per, width)
	}
	n, groups := op.N*op.Groups, max(1, threads/lanes)
	g := grid{x: (n + groups - 1) / groups, threads: lanes, rows: groups, shared: 32 * groups * b.size()}
	s := normArgs{int64(n), int64(op.Groups), int64(width), op.Eps, int64(flag(op.Centered)), int64(flag(op.Residual))}
	b.kernel("norm", fmt.Sprintf("%s_%d", kernel, per), g, append([]any{byValue(s)}, args...)...)
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
	b.norm("norm_backward", op, x, w, dy, dx, kept)
	if !op.Weight {
		return
	}
	parts, length := stretches(op.N)
	part := b.float(parts * op.Width)
	b.kernel("norm", "norm_weight_grad", strips(op.Width, parts), x, dy, kept, part,
		int64(op.N), int64(op.Groups), int64(op.Width/op.Groups), int64(length))
	b.sumParts(part, dw, parts, op.Width)
}
