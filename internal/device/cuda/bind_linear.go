//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// bindLinear binds what multiplies with weights.
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
		b.kernel("elementwise", "embedding_grad", grid{x: op.V, threads: 128}, ids, dy, dw, int64(op.N), int64(op.D))
	default:
		return false
	}
	return true
}

// block is an output of a linear map: its number, its width and its first row in
// the weight.
type block struct{ o, width, row int }

func blocks(l ops.Linear) (all []block) {
	row := 0
	for o, width := range l.Outs {
		all = append(all, block{o, width, row})
		row += width
	}
	return all
}

// at is the address of element i of floats.
func (b *binder) at(base address, i int) address { return base + address(i*b.size()) }

func (b *binder) linear(op ops.Linear) {
	x, w, bias := b.read(), b.read(), b.readIf(op.Bias)
	for _, c := range blocks(op) {
		y := b.write()
		b.multiply(product{m: op.Rows, n: c.width, k: op.In, a: operand{at: x, ld: op.In},
			b: operand{at: b.at(w, c.row*op.In), ld: op.In, trans: true}, c: operand{at: y, ld: c.width}})
		if op.Bias {
			b.each("elementwise", "add_rows", op.Rows*c.width, b.at(bias, c.row), y, int64(op.Rows), int64(c.width))
		}
	}
}

func (b *binder) linearGrad(op ops.LinearGrad) {
	x, w, dys := b.read(), b.read(), b.readSome(op.Has)
	dx, dw, db := b.write(), b.write(), b.writeIf(op.Bias)
	if !slices.Contains(op.Has, true) {
		b.zero(dx, op.Rows*op.In)
	}
	started := 0.0
	for _, c := range blocks(op.Linear) {
		dwc, dbc := b.at(dw, c.row*op.In), b.at(db, c.row)
		if !op.Has[c.o] {
			b.zero(dwc, c.width*op.In)
			if op.Bias {
				b.zero(dbc, c.width)
			}
			continue
		}
		dy := operand{at: dys[c.o], ld: c.width}
		b.multiply(product{m: op.Rows, n: op.In, k: c.width, a: dy, b: operand{at: b.at(w, c.row*op.In), ld: op.In},
			c: operand{at: dx, ld: op.In}, beta: started})
		started = 1
		dy.trans = true
		b.multiply(product{m: c.width, n: op.In, k: op.Rows, a: dy, b: operand{at: x, ld: op.In}, c: operand{at: dwc, ld: op.In}})
		if op.Bias {
			b.columnSums(dys[c.o], dbc, op.Rows, c.width)
		}
	}
}

// columnThreads is the number of columns that a block of a sum over rows takes.
const columnThreads = 128

// stretches cuts the rows of a sum over rows: how many stretches, and how long.
func stretches(rows int) (parts, length int) {
	length = max(16, (rows+127)/128)
	return (rows + length - 1) / length, length
}

// columns is the grid of a sum over rows for n columns.
func columns(n, parts int) grid {
	return grid{x: (n + columnThreads - 1) / columnThreads, y: parts, threads: columnThreads}
}

// columnSums adds up the rows of x [n,d] in y.
func (b *binder) columnSums(x, y address, n, d int) {
	parts, length := stretches(n)
	part := b.float(parts * d)
	b.kernel("rows", "column_sums", columns(d, parts), x, part, int64(n), int64(d), int64(length))
	b.sumParts(part, y, parts, d)
}

func (b *binder) sumParts(part, y address, parts, n int) {
	b.each("rows", "sum_parts", n, part, y, int64(parts), int64(n))
}

// headwiseArgs is the struct Headwise of the kernels.
type headwiseArgs struct{ n, heads, in, out, row, stride int64 }

// narrow is the width below which a head's map is summed up by threads of their
// own, not by cuBLAS.
const narrow = 16

func (b *binder) headwise(op ops.Headwise) {
	s := byValue(headwiseArgs{int64(op.N), int64(op.Heads), int64(op.In), int64(op.Out), int64(op.Row), int64(op.Stride)})
	x, w, bias, y := b.read(), b.read(), b.readIf(op.Bias), b.write()
	if op.In < narrow || op.Out < narrow {
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
	if op.In < narrow || op.Out < narrow {
		b.each("headwise", "headwise_grad", op.N*op.Heads*op.In, s, w, dy, dx)
		size := op.Heads * op.Out * op.In
		parts, length := stretches(op.N)
		part := b.float(parts * size)
		b.kernel("headwise", "headwise_weight_grad", columns(size, parts), s, x, dy, part, int64(length))
		b.each("headwise", "headwise_weight_sums", op.Heads*op.Stride*op.In, s, part, dw, int64(parts))
	} else {
		if op.Out != op.Stride {
			b.zero(dw, op.Heads*op.Stride*op.In)
		}
		up := operand{at: dy, ld: op.Heads * op.Out, stride: op.Out}
		b.multiply(product{m: op.N, n: op.In, k: op.Out, batch: op.Heads, a: up,
			b: operand{at: b.at(w, op.Row*op.In), ld: op.In, stride: op.Stride * op.In}, c: operand{at: dx, ld: op.Heads * op.In, stride: op.In}})
		up.trans = true
		b.multiply(product{m: op.Out, n: op.In, k: op.N, batch: op.Heads, a: up, b: operand{at: x, ld: op.Heads * op.In, stride: op.In},
			c: operand{at: b.at(dw, op.Row*op.In), ld: op.In, stride: op.Stride * op.In}})
	}
	if op.Bias {
		b.columnSums(dy, db, op.N, op.Heads*op.Out)
	}
}

// gatesArgs is the struct Gates of the kernels in gates.cu.
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
	b.kernel("gates", "gate_projections", grid{x: (op.N*op.NH*2 + 7) / 8, threads: 256}, byValue(s), i, f)
}

func (b *binder) mlstmGatesGrad(op ops.MLSTMGatesGrad) {
	s := newGatesArgs(op.MLSTMGates)
	s.x, s.w = [3]address(b.readMany(3)), [2]address(b.readMany(2))
	dy, off := b.readSome(op.Has[:]), 0
	for k, width := range op.Widths {
		b.each("gates", "gate_input_grad", op.N*width, byValue(s), int64(k), int64(off), dy[0], dy[1], b.write())
		off += width
	}
	const eight = 8 // EIGHT in gates.cu
	parts, length := stretches(op.N)
	for g := range dy {
		dw, db := b.write(), b.write()
		if !op.Has[g] {
			b.zero(dw, op.NH*off)
			b.zero(db, op.NH)
			continue
		}
		part, shape := b.float(parts*op.NH*off), columns(off, parts)
		shape.z = (op.NH + eight - 1) / eight
		b.kernel("gates", "gate_weight_grad", shape, byValue(s), dy[g], part, int64(length))
		b.sumParts(part, dw, parts, op.NH*off)
		b.columnSums(dy[g], db, op.N, op.NH)
	}
}
