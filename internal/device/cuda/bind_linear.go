//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// bindLinear binds the operations that multiply by weights.
func bindLinear(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.Linear:
		b.linear(op)
	case ops.LinearGrad:
		b.linearGrad(op)
	case ops.Headwise:
		b.headwise(op)
	case ops.HeadwiseGrad:
		b.headwiseGrad(op)
	case ops.MLSTMGates:
		b.mlstmGates(op)
	case ops.MLSTMGatesGrad:
		b.mlstmGatesGrad(op)
	case ops.Embedding:
		ids, w, y := b.read(), b.read(), b.write()
		b.each("elementwise", "embedding", op.N*op.D, ids, w, y, int64(op.N), int64(op.D))
	case ops.EmbeddingGrad:
		ids, dy, dw := b.read(), b.read(), b.write()
		b.kernel("elementwise", "embedding_grad", grid{x: op.V, y: (op.D + 31) / 32, threads: 32, rows: 32}, ids, dy, dw, int64(op.N), int64(op.D))
	default:
		return false
	}
	return true
}

// at returns the address of element i of the floats at base.
func (b *binder) at(base address, i int) address { return base + address(i*b.size()) }

func (b *binder) linear(op ops.Linear) {
	x, w, bias := b.read(), b.read(), b.readIf(op.Bias)
	for _, c := range op.Blocks() {
		y := b.write()
		b.multiply(product{m: op.Rows, n: c.Width, k: op.In, a: operand{at: x, ld: op.In},
			b: operand{at: b.at(w, c.Row*op.In), ld: op.In, trans: true}, c: operand{at: y, ld: c.Width}})
		if op.Bias {
			b.each("elementwise", "add_rows", op.Rows*c.Width, b.at(bias, c.Row), y, int64(op.Rows), int64(c.Width))
		}
	}
}

func (b *binder) linearGrad(op ops.LinearGrad) {
	x, w, dys := b.read(), b.read(), b.readSome(op.Has)
	dx, dw, db := b.write(), b.write(), b.writeIf(op.Bias)
	b.linearInputs(op, dys, w, dx)
	b.linearWeights(op, dys, x, dw)
	b.linearBiases(op, dys, db)
}

// linearInputs enqueues dx, the sum of the gradients through all blocks.
func (b *binder) linearInputs(op ops.LinearGrad, dys []address, w, dx address) {
	if !slices.Contains(op.Has, true) {
		b.zero(dx, op.Rows*op.In)
	}
	started := 0.0
	for _, c := range op.Blocks() {
		if !op.Has[c.Out] {
			continue
		}
		b.multiply(product{m: op.Rows, n: op.In, k: c.Width, a: operand{at: dys[c.Out], ld: c.Width},
			b: operand{at: b.at(w, c.Row*op.In), ld: op.In}, c: operand{at: dx, ld: op.In}, beta: started})
		started = 1
	}
}

func (b *binder) linearWeights(op ops.LinearGrad, dys []address, x, dw address) {
	for _, c := range op.Blocks() {
		at := b.at(dw, c.Row*op.In)
		if !op.Has[c.Out] {
			b.zero(at, c.Width*op.In)
			continue
		}
		b.multiply(product{m: c.Width, n: op.In, k: op.Rows, a: operand{at: dys[c.Out], ld: c.Width, trans: true},
			b: operand{at: x, ld: op.In}, c: operand{at: at, ld: op.In}})
	}
}

func (b *binder) linearBiases(op ops.LinearGrad, dys []address, db address) {
	if !op.Bias {
		return
	}
	for _, c := range op.Blocks() {
		if at := b.at(db, c.Row); op.Has[c.Out] {
			b.columnSums(dys[c.Out], at, op.Rows, c.Width)
		} else {
			b.zero(at, c.Width)
		}
	}
}

// columnThreads is the number of columns in a block of a sum over rows.
const columnThreads = 128

// stretches divides the rows of a sum over rows into parts of equal length.
func stretches(rows int) (parts, length int) {
	length = max(16, (rows+127)/128)
	return (rows + length - 1) / length, length
}

// columns returns the grid of a sum over rows for n columns.
func columns(n, parts int) grid {
	return grid{x: (n + columnThreads - 1) / columnThreads, y: parts, threads: columnThreads}
}

// strips returns the grid of a sum over rows for kernels whose blocks are 32 columns
// by 8 threads that share the rows of a stretch.
func strips(n, parts int) grid {
	return grid{x: (n + 31) / 32, y: parts, threads: 32, rows: 8}
}

// columnSums enqueues the sum of the rows of x [n,d] into y [d].
func (b *binder) columnSums(x, y address, n, d int) {
	parts, length := stretches(n)
	part := b.float(parts * d)
	b.kernel("rows", "column_sums", strips(d, parts), x, part, int64(n), int64(d), int64(length))
	b.sumParts(part, y, parts, d)
}

func (b *binder) sumParts(part, y address, parts, n int) {
	b.kernel("rows", "sum_parts", summing(n, parts), part, y, int64(parts), int64(n))
}

// summing returns the grid of kernels that compute n sums of parts by partsSum of
// common.cuh.
func summing(n, parts int) grid {
	return grid{x: (n + 31) / 32, threads: 32, rows: min(16, parts)}
}

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
		b.each("elementwise", "add_rows", op.N*op.Heads*op.Out, bias, y, int64(op.N), int64(op.Heads*op.Out))
	}
}

func (b *binder) headwiseGrad(op ops.HeadwiseGrad) {
	s := byValue(headwiseArgs{int64(op.N), int64(op.Heads), int64(op.In), int64(op.Out), int64(op.Row), int64(op.Stride)})
	x, w, dy := b.read(), b.read(), b.read()
	dx, dw, db := b.write(), b.write(), b.writeIf(op.Bias)
	switch {
	case op.In == 4 && op.Out == 4 && fours(x, w, dy, dx):
		b.headwiseParts(op.Headwise, dw, func(part address, parts, length int) {
			b.kernel("headwise", "headwise_4_grad", strips(op.Heads, parts), s, x, w, dy, dx, part, int64(length), byValue(addends{}))
		})
	case op.In < narrow || op.Out < narrow:
		b.each("headwise", "headwise_grad", op.N*op.Heads*op.In, s, w, dy, dx, byValue(addends{}))
		b.headwiseParts(op.Headwise, dw, func(part address, parts, length int) {
			b.kernel("headwise", "headwise_weight_grad", columns(op.Heads*op.Out*op.In, parts), s, x, dy, part, int64(length))
		})
	default:
		b.multiply(product{m: op.N, n: op.In, k: op.Out, batch: op.Heads, a: operand{at: dy, ld: op.Heads * op.Out, stride: op.Out},
			b: operand{at: b.at(w, op.Row*op.In), ld: op.In, stride: op.Stride * op.In}, c: operand{at: dx, ld: op.Heads * op.In, stride: op.In}})
		b.headwiseWideWeights(op.Headwise, s, x, dy, dw)
	}
	if op.Bias {
		b.columnSums(dy, db, op.N, op.Heads*op.Out)
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
	g.dy, g.dx = [2]address(b.readSome(op.Has[:])), [3]address(b.writeMany(3))
	out := b.writeMany(4)
	width := op.Widths[0] + op.Widths[1] + op.Widths[2]
	length := max(32, (op.N+63)/64)
	parts := (op.N + length - 1) / length
	size := 2 * op.NH * (width + 1)
	part := b.float(parts * size)
	b.kernel("gates", "gate_grads", strips(width+1, parts), byValue(s), byValue(g), part, int64(length))
	b.kernel("gates", "gate_sums", summing(size, parts), part, out[0], out[1], out[2], out[3], int64(op.NH), int64(width), int64(parts))
}
