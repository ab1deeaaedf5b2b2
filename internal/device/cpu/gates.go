package cpu

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// bindGate binds activations and gates.
func bindGate[F kernels.Float](op ops.Op, a *operands) device.Launch {
	switch op := op.(type) {
	case ops.Activate:
		fn, x, y := activations[op.Fn], in[F](a), out[F](a)
		return always(func() { kernels.Activate(fn, x.data, y.data) })
	case ops.ActivateGrad:
		fn, x, dy, dx := activations[op.Fn], in[F](a), in[F](a), out[F](a)
		return always(func() { kernels.ActivateGrad(fn, x.data, dy.data, dx.data) })
	case ops.Gated:
		fn, g, u, y := activations[op.Fn], in[F](a), in[F](a), out[F](a)
		return always(func() { kernels.Gated(fn, g.data, u.data, y.data) })
	case ops.GatedGrad:
		fn, g, u, dy, dg, du := activations[op.Fn], in[F](a), in[F](a), in[F](a), out[F](a), out[F](a)
		return always(func() { kernels.GatedGrad(fn, g.data, u.data, dy.data, dg.data, du.data) })
	case ops.SoftCap:
		x, y := in[F](a), out[F](a)
		return always(func() { kernels.SoftCap(F(op.Cap), x.data, y.data) })
	case ops.SoftCapGrad:
		y, dy, dx := in[F](a), in[F](a), out[F](a)
		return always(func() { kernels.SoftCapGrad(F(op.Cap), y.data, dy.data, dx.data) })
	case ops.SkipGate:
		x, y := ins[F](a, 4), out[F](a)
		return always(func() { kernels.SkipGate(op.N, op.D, x[0].data, x[1].data, x[2].data, x[3].data, y.data) })
	case ops.SkipGateGrad:
		x, d := ins[F](a, 5), outs[F](a)
		return always(func() {
			kernels.SkipGateGrad(op.N, op.D, x[0].data, x[1].data, x[2].data, x[3].data, x[4].data, d[0].data, d[1].data, d[2].data, d[3].data)
		})
	case ops.Stabilize:
		logF, m, i, n, y := in[F](a), in[F](a), in[F](a), inIf[F](a, op.WithN), out[F](a)
		return always(func() { kernels.Stabilize(logF.data, m.data, i.data, n.get(), y.data) })
	case ops.StabilizeGrad:
		logF, m, i, n, dy := in[F](a), in[F](a), in[F](a), inIf[F](a, op.WithN), in[F](a)
		dForget, di := out[F](a), out[F](a)
		return always(func() { kernels.StabilizeGrad(logF.data, m.data, i.data, n.get(), dy.data, dForget.data, di.data) })
	case ops.ExpGate:
		return binary(kernels.ExpGate[F], a)
	}
	return nil
}
