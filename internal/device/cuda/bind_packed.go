//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// bindPacked binds the operations with packed weights.
func bindPacked(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.PackedLinear:
		b.packedLinear(op)
	case ops.PackedEmbedding:
		ids, w, scales, y := b.read(), b.read(), b.readIf(op.Format.Scaled()), b.write()
		b.each("packed", "packed_embedding", op.N*op.D, int32(op.Format), ids, w, scales, y, int64(op.N), int64(op.D))
	default:
		return false
	}
	return true
}

// packedLinear enqueues the products of linear maps, of weights that are expanded to the
// type in which the device multiplies. In the formats with scales x is rounded first.
func (b *binder) packedLinear(op ops.PackedLinear) {
	m := ops.Linear{Rows: op.Rows, In: op.In, Outs: op.Outs, Bias: op.Bias}
	in, packed, scales, bias := b.readRef(), b.read(), b.readIf(op.Format.Scaled()), b.readIf(op.Bias)
	if op.Format.Scaled() {
		n := op.Rows * op.In
		rounded := b.multiplied(n)
		b.each("packed", "round_groups", n, in.arg(), rounded.arg(), int64(n))
		in = rounded
	}
	w := ref{at: packed, half: true}
	if op.Format != ops.BF16 || !b.halves() {
		n := total(op.Outs) * op.In
		w = b.multiplied(n)
		b.each("packed", "unpack", n/8, int32(op.Format), packed, scales, w.arg(), int64(n/8))
	}
	x, f := b.factor(in, op.Rows*op.In), factor{w.at, w.half}
	var outs []func()
	for _, c := range m.Blocks() {
		y := b.writeRef()
		outs = append(outs, func() { b.linearBlock(m, c, x, f, bias, y) })
	}
	b.atOnce(outs...)
}

// multiplied takes a piece of the workspace for n operands of products.
func (b *binder) multiplied(n int) ref {
	if b.halves() {
		return ref{at: b.take(2 * n), half: true}
	}
	return plain(b.float(n))
}
