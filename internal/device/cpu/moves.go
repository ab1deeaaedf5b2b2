package cpu

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// bindMove binds what copies.
func bindMove[F kernels.Float](op ops.Op, a *operands) device.Launch {
	switch op := op.(type) {
	case ops.TimeStep:
		return takeStep[F](op.B, op.T, op.D, op.Step, a)
	case ops.TimeStepGrad:
		return putStep[F](op.B, op.T, op.D, op.Step, a)
	case ops.StackTime:
		return stack[F](op.B, op.D, a)
	case ops.Stack:
		return stack[F](1, op.Shape.Size(), a)
	case ops.Pick:
		return takeStep[F](1, op.N, op.Shape.Size(), op.K, a)
	case ops.PickGrad:
		return putStep[F](1, op.N, op.Shape.Size(), op.K, a)
	case ops.Reshape:
		return takeStep[F](1, 1, op.From.Size(), 0, a)
	}
	return nil
}

// takeStep copies one of t steps of b sequences.
func takeStep[F kernels.Float](b, t, d, step int, a *operands) device.Launch {
	x, y := in[F](a), out[F](a)
	return always(func() { kernels.TimeStep(b, t, d, step, x.data, y.data) })
}

// putStep is its derivative.
func putStep[F kernels.Float](b, t, d, step int, a *operands) device.Launch {
	dy, dx := in[F](a), out[F](a)
	return always(func() {
		clear(dx.data)
		kernels.PutTimeStep(b, t, d, step, dy.data, dx.data)
	})
}

// stack writes every input to a step of its own.
func stack[F kernels.Float](b, d int, a *operands) device.Launch {
	xs, y := ins[F](a, len(a.in)), out[F](a)
	return always(func() {
		for t, x := range xs {
			kernels.PutTimeStep(b, len(xs), d, t, x.data, y.data)
		}
	})
}
