//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// activations maps activations to their numbers in the kernels.
var activations = map[ops.Activation]int32{
	ops.Sigmoid: 0, ops.LogSigmoid: 1, ops.Tanh: 2, ops.SiLU: 3, ops.GELU: 4, ops.ReLU: 5, ops.ReLUSquared: 6, ops.SELU: 7,
}

// bindElementwise binds elementwise operations and copies.
func bindElementwise(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.Activate:
		n := op.Shape.Size()
		b.each("elementwise", "activation", n, activations[op.Fn], b.readRef().arg(), b.writeRef().arg(), int64(n))
	case ops.ActivateGrad:
		n := op.Shape.Size()
		b.each("elementwise", "activation_grad", n, activations[op.Fn], b.readRef().arg(), b.readRef().arg(), b.writeRef().arg(), int64(n))
	case ops.Gated:
		b.gated(op, b.readRef(), b.readRef(), b.writeRef())
	case ops.GatedGrad:
		b.gatedGrad(op, b.readRef(), b.readRef(), b.readRef(), ref{})
	case ops.SoftCap:
		n := op.Shape.Size()
		b.each("elementwise", "soft_cap", n, b.scalar(op.Cap), b.read(), b.write(), int64(n))
	case ops.SoftCapGrad:
		n := op.Shape.Size()
		b.each("elementwise", "soft_cap_grad", n, b.scalar(op.Cap), b.read(), b.read(), b.write(), int64(n))
	case ops.Add:
		b.addTo(b.readRef(), b.readRef(), b.writeRef(), op.Shape.Size())
	case ops.Mul:
		n := op.Shape.Size()
		b.each("elementwise", "multiply", n, b.read(), b.read(), b.write(), int64(n))
	case ops.ForkGrad:
		b.forkGrad(op)
	case ops.SkipGate:
		in, y := b.readMany(4), b.write()
		b.each("elementwise", "skip_gate", op.N*op.D, in[0], in[1], in[2], in[3], y, int64(op.N), int64(op.D))
	case ops.SkipGateGrad:
		b.skipGateGrad(op)
	case ops.Dropout:
		b.dropout(op)
	case ops.DropoutGrad:
		b.dropout(ops.Dropout(op))
	default:
		return bindMove(b, op)
	}
	return true
}

// gated enqueues y = Fn(g)⊙u.
func (b *binder) gated(op ops.Gated, g, u, y ref) {
	n := op.Shape.Size()
	b.each("elementwise", "gated", n, activations[op.Fn], g.arg(), u.arg(), y.arg(), int64(n))
}

// addTo enqueues y = x + more.
func (b *binder) addTo(x, more, y ref, n int) {
	b.each("elementwise", "add", (n+7)/8, x.arg(), more.arg(), y.arg(), int64(n))
}

func (b *binder) forkGrad(op ops.ForkGrad) {
	sum, y := b.readRef(), b.writeRef()
	for range op.N - 1 {
		b.addTo(sum, b.readRef(), y, op.Shape.Size())
		sum = y
	}
}

func (b *binder) skipGateGrad(op ops.SkipGateGrad) {
	h, c, skip, z, dy := b.read(), b.read(), b.read(), b.read(), b.read()
	dh, dc, dskip, dz := b.write(), b.write(), b.write(), b.write()
	parts, length := stretches(op.N)
	part := b.float(parts * op.D)
	b.kernel("elementwise", "skip_gate_grad", strips(op.D, parts), h, c, skip, z, dy, dh, dc, dz, part, int64(op.N), int64(op.D), int64(length))
	b.sumParts(part, dskip, parts, op.D)
}

func (b *binder) dropout(op ops.Dropout) {
	n := op.Shape.Size()
	x, key, y := b.read(), b.read(), b.write()
	threshold := uint64(op.Rate * (1 << 53))
	b.each("elementwise", "dropout", n, x, y, int64(n), threshold, b.scalar(1/(1-op.Rate)), op.ID, key, int64(op.Width()))
}

func (b *binder) reshape(op ops.Reshape) {
	x, y := b.readRef(), b.writeRef()
	if y.half {
		b.convert(x, y, op.To.Size())
		return
	}
	b.copy(y.at, x.at, op.To.Size())
}

// bindMove binds copies.
func bindMove(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.Stack:
		n, y := op.Shape.Size(), b.write()
		for k := range op.N {
			b.copy(b.at(y, k*n), b.read(), n)
		}
	case ops.Pick:
		n := op.Shape.Size()
		b.copy(b.write(), b.at(b.read(), op.K*n), n)
	case ops.PickGrad:
		n, y := op.Shape.Size(), b.write()
		b.zero(y, op.N*n)
		b.copy(b.at(y, op.K*n), b.read(), n)
	case ops.Reshape:
		b.reshape(op)
	default:
		return false
	}
	return true
}

// gatedGrad enqueues the gradients of the operands g and u, and y, perhaps in the memory of
// dy, unless it is zero. The gradients may be columns of one matrix.
func (b *binder) gatedGrad(op ops.GatedGrad, g, u, dy, y ref) {
	n, width := op.Shape.Size(), op.Shape[len(op.Shape)-1]
	dg, ld := b.writeColumns(width)
	du, other := b.writeColumns(width)
	if ld != other && b.err == nil {
		b.err = errColumns
	}
	b.each("elementwise", "gated_grad", n, activations[op.Fn], g.arg(), u.arg(), dy.arg(), dg.arg(), du.arg(), y.arg(), int64(n), int64(width), int64(ld))
}
