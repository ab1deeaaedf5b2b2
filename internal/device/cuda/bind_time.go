//go:build nvidia && linux && (amd64 || arm64)

package cuda

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// convArgs mirrors the struct Conv of conv.cu.
type convArgs struct {
	b, t, d, k int64
	silu       int32
	resets     address
}

// bindTime binds the convolution over time.
func bindTime(b *binder, op ops.Op) bool {
	switch op := op.(type) {
	case ops.Conv:
		b.conv(op)
	case ops.ConvGrad:
		b.convGrad(op)
	default:
		return false
	}
	return true
}

func newConvArgs(op ops.Conv, resets address) structure {
	return byValue(convArgs{int64(op.B), int64(op.T), int64(op.D), int64(op.K), flag(op.SiLU), resets})
}

func (b *binder) conv(op ops.Conv) {
	x, w, bias, window := b.readRef().arg(), b.read(), b.read(), b.readIf(op.Window)
	s := newConvArgs(op, b.readIf(op.Resets))
	y, next := b.writeRef().arg(), b.write()
	if op.K == convTaps {
		length := convLength(op)
		shape := columns(op.D, (op.T+length-1)/length)
		shape.z = op.B
		b.kernel("conv", "conv_4", shape, s, x, w, bias, window, y, int64(length))
	} else {
		b.each("conv", "conv", op.B*op.T*op.D, s, x, w, bias, window, y)
	}
	b.each("conv", "conv_window", op.B*op.D, s, x, window, next)
}

// convTaps and convSteps are TAPS and STEPS in conv.cu.
const (
	convTaps  = 4
	convSteps = 8
)

// convLength returns the number of steps per thread in the kernels for filters of
// convTaps: as many as still fill the card with threads.
func convLength(op ops.Conv) int {
	const threads = 150_000
	return min(32, max(8, op.B*op.T*op.D/threads))
}

func (b *binder) convGrad(op ops.ConvGrad) {
	x, w, bias, window := b.readRef().arg(), b.read(), b.read(), b.readIf(op.Window)
	dy, dnext := b.readRefIf(op.Has[0]).arg(), b.readIf(op.Has[1])
	s := newConvArgs(op.Conv, b.readIf(op.Resets))
	dx, dw, dbias, dwindow := b.writeRef().arg(), b.write(), b.write(), b.writeIf(op.Window)
	if op.K == convTaps {
		shape := strips(op.D, (op.T+8*convSteps-1)/(8*convSteps))
		shape.z = op.B
		parts := op.B * shape.y
		part := b.float(parts * (op.K + 1) * op.D)
		kernel := "conv_4_grad"
		if op.Resets {
			kernel += "_resets"
		}
		b.kernel("conv", kernel, shape, s, x, w, bias, window, dy, dnext, dx, dwindow, part, byValue(b.plus[0]))
		b.convSums(op.Conv, part, dw, dbias, parts)
		return
	}
	n := op.B * op.T * op.D
	dpre := b.float(n)
	if op.Has[0] {
		b.each("conv", "conv_pre_grad", n, s, x, w, bias, window, dy, dpre)
	} else {
		b.zero(dpre, n)
	}
	rows := op.B * op.T
	if op.Window {
		n += op.B * op.K * op.D
	}
	b.each("conv", "conv_grad", n, s, w, dpre, dnext, dx, dwindow)
	parts, length := stretches(rows)
	part, shape := b.float(parts*(op.K+1)*op.D), columns(op.D, op.K+1)
	shape.z = parts
	b.kernel("conv", "conv_weight_grad", shape, s, x, window, dpre, part, int64(length))
	b.convSums(op.Conv, part, dw, dbias, parts)
}

func (b *binder) convSums(op ops.Conv, part, dw, dbias address, parts int) {
	b.kernel("conv", "conv_weight_sums", summing((op.K+1)*op.D, parts), part, dw, dbias, int64(parts), int64(op.D), int64(op.K))
}
