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
		b.each("elementwise", "activation", n, activations[op.Fn], b.read(), b.write(), int64(n))
	case ops.ActivateGrad:
		n := op.Shape.Size()
		b.each("elementwise", "activation_grad", n, activations[op.Fn], b.read(), b.read(), b.write(), int64(n))
	case ops.Gated:
		n := op.Shape.Size()
		b.each("elementwise", "gated", n, activations[op.Fn], b.read(), b.read(), b.write(), int64(n))
	case ops.GatedGrad:
		n := op.Shape.Size()
		b.each("elementwise", "gated_grad", n, activations[op.Fn], b.read(), b.read(), b.read(), b.write(), b.write(), int64(n))
	case ops.SoftCap:
		n := op.Shape.Size()
		b.each("elementwise", "soft_cap", n, b.scalar(op.Cap), b.read(), b.write(), int64(n))
	case ops.SoftCapGrad:
		n := op.Shape.Size()
		b.each("elementwise", "soft_cap_grad", n, b.scalar(op.Cap), b.read(), b.read(), b.write(), int64(n))
	case ops.Add:
		b.binary("add", op.Shape.Size())
	case ops.Mul:
		b.binary("multiply", op.Shape.Size())
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

func (b *binder) binary(name string, n int) {
	b.each("elementwise", name, n, b.read(), b.read(), b.write(), int64(n))
}

func (b *binder) forkGrad(op ops.ForkGrad) {
	n := op.Shape.Size()
	sum, y := b.read(), b.write()
	for range op.N - 1 {
		b.each("elementwise", "add", n, sum, b.read(), y, int64(n))
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
		b.copy(b.write(), b.read(), op.To.Size())
	default:
		return false
	}
	return true
}
