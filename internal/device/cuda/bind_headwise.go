//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// headwiseArgs mirrors the struct Headwise of headwise.cu.
type headwiseArgs struct{ n, heads, in, out, row, stride int64 }

// narrow is the width of a head below which kernels of this package compute its
// map; from this width on cuBLAS does.
const narrow = 16

func (b *binder) headwise(op ops.Headwise) {
	s := byValue(headwiseArgs{int64(op.N), int64(op.Heads), int64(op.In), int64(op.Out), int64(op.Row), int64(op.Stride)})
	x, w, bias, y := b.read(), b.read(), b.readIf(op.Bias), b.write()
	switch {
	case op.In == 4 && op.Out == 4 && fours(x, w, bias, y):
		b.each("headwise", "headwise_4", op.N*op.Heads, s, x, w, bias, y)
		return
	case op.In < narrow || op.Out < narrow:
		b.each("headwise", "headwise", op.N*op.Heads*op.Out, s, x, w, bias, y)
		return
	}
	b.multiply(product{m: op.N, n: op.Out, k: op.In, batch: op.Heads, a: operand{at: x, ld: op.Heads * op.In, stride: op.In},
		b: operand{at: b.at(w, op.Row*op.In), ld: op.In, trans: true, stride: op.Stride * op.In},
		c: operand{at: y, ld: op.Heads * op.Out, stride: op.Out}})
	if op.Bias {
		b.each("elementwise", "add_rows", op.N*op.Heads*op.Out, bias, plain(y).arg(), int64(op.N), int64(op.Heads*op.Out))
	}
}

func (b *binder) headwiseGrad(op ops.HeadwiseGrad) {
	s := byValue(headwiseArgs{int64(op.N), int64(op.Heads), int64(op.In), int64(op.Out), int64(op.Row), int64(op.Stride)})
	x, w, dy := b.read(), b.read(), b.read()
	dx, dw, db := b.write(), b.write(), b.writeIf(op.Bias)
	switch {
	case op.In == 4 && op.Out == 4 && fours(x, w, dy, dx):
		b.headwiseParts(op.Headwise, dw, func(part address, parts, length int) {
			b.kernel("headwise", "headwise_4_grad", strips(op.Heads, parts), s, x, w, dy, dx, part, int64(length), byValue(b.plus[0]))
		})
	case op.In < narrow || op.Out < narrow:
		b.each("headwise", "headwise_grad", op.N*op.Heads*op.In, s, w, dy, dx, byValue(b.plus[0]))
		b.headwiseParts(op.Headwise, dw, func(part address, parts, length int) {
			b.kernel("headwise", "headwise_weight_grad", columns(op.Heads*op.Out*op.In, parts), s, x, dy, part, int64(length))
		})
	default:
		b.multiply(product{m: op.N, n: op.In, k: op.Out, batch: op.Heads, a: operand{at: dy, ld: op.Heads * op.Out, stride: op.Out},
			b: operand{at: b.at(w, op.Row*op.In), ld: op.In, stride: op.Stride * op.In}, c: operand{at: dx, ld: op.Heads * op.In, stride: op.In}})
		b.headwiseWideWeights(op.Headwise, s, x, dy, dw)
	}
	if op.Bias {
		b.columnSums(plain(dy), db, op.N, op.Heads*op.Out)
	}
}

// fours reports whether all addresses are multiples of 16 bytes, as 0 is.
func fours(all ...address) bool {
	for _, at := range all {
		if at%16 != 0 {
			return false
		}
	}
	return true
}

// headwiseParts enqueues the gradient of narrow weights; sum enqueues the partial
// sums over stretches of rows.
func (b *binder) headwiseParts(op ops.Headwise, dw address, sum func(part address, parts, length int)) {
	parts, length := stretches(op.N)
	part := b.float(parts * op.Heads * op.Out * op.In)
	sum(part, parts, length)
	b.headwiseSums(op, part, dw, parts)
}

func (b *binder) headwiseSums(op ops.Headwise, part, dw address, parts int) {
	s := byValue(headwiseArgs{int64(op.N), int64(op.Heads), int64(op.In), int64(op.Out), int64(op.Row), int64(op.Stride)})
	b.kernel("headwise", "headwise_weight_sums", summing(op.Heads*op.Stride*op.In, parts), s, part, dw, int64(parts))
}

// headwiseWideWeights enqueues the gradient of the weights of wide heads: as a
// product if the tiles of all heads fill the card, else as partial sums over
// stretches of rows.
func (b *binder) headwiseWideWeights(op ops.Headwise, s structure, x, dy, dw address) {
	tiles := ((op.In + outerTile - 1) / outerTile) * ((op.Out + outerTile - 1) / outerTile)
	if parts, length := b.outerStretches(tiles*op.Heads, op.N); parts > 4 {
		part := b.float(parts * op.Heads * op.Out * op.In)
		b.kernel("headwise", "headwise_outer", grid{x: tiles, y: op.Heads, z: parts, threads: outerThreads}, s, x, dy, part, int64(length))
		b.headwiseSums(op, part, dw, parts)
		return
	}
	if op.Out != op.Stride {
		b.zero(dw, op.Heads*op.Stride*op.In)
	}
	b.multiply(product{m: op.Out, n: op.In, k: op.N, batch: op.Heads, a: operand{at: dy, ld: op.Heads * op.Out, stride: op.Out, trans: true},
		b: operand{at: x, ld: op.Heads * op.In, stride: op.In}, c: operand{at: b.at(dw, op.Row*op.In), ld: op.In, stride: op.Stride * op.In}})
}

// outerTile and outerThreads are TILE and OUTER of outer.cuh.
const (
	outerTile    = 32
	outerThreads = 64
)

// outerStretches divides rows for kernels that sum their outer products in a number
// of tiles: into enough stretches to give every multiprocessor a dozen blocks.
func (b *binder) outerStretches(tiles, rows int) (parts, length int) {
	parts = max(1, min((rows+31)/32, 12*int(b.d.processors)/tiles))
	length = (rows + parts - 1) / parts
	return (rows + length - 1) / length, length
}
