package cpu

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// activations are the kernels' names of activations.
var activations = map[ops.Activation]kernels.Activation{
	ops.GELU: kernels.GELU, ops.ReLU: kernels.ReLU, ops.ReLUSquared: kernels.ReLUSquared, ops.SiLU: kernels.SiLU,
	ops.SELU: kernels.SELU, ops.Sigmoid: kernels.Sigmoid, ops.LogSigmoid: kernels.LogSigmoid, ops.Tanh: kernels.Tanh,
}

// bindElementwise binds what goes over all elements, or over rows of them.
func bindElementwise[F kernels.Float](op ops.Op, a *operands) device.Launch {
	switch op := op.(type) {
	case ops.Add:
		return binary(kernels.Add[F], a)
	case ops.Mul:
		return binary(kernels.Mul[F], a)
	case ops.ForkGrad:
		return sum[F](a)
	case ops.Maximum:
		return binary(kernels.Maximum[F], a)
	case ops.MaximumGrad:
		x, y, dy, dx, dz := in[F](a), in[F](a), in[F](a), out[F](a), out[F](a)
		return always(func() { kernels.MaximumGrad(x.data, y.data, dy.data, dx.data, dz.data) })
	case ops.Dropout:
		return dropout[F](ops.Dropout(op), a)
	case ops.DropoutGrad:
		return dropout[F](ops.Dropout(op), a)
	case ops.AddBias:
		x, b, y := in[F](a), in[F](a), out[F](a)
		return always(func() { kernels.AddRows(op.N, op.D, x.data, b.data[op.Lo:op.Lo+op.D], y.data) })
	case ops.AddBiasGrad:
		dy, db := in[F](a), out[F](a)
		return always(func() {
			clear(db.data)
			kernels.ColumnSums(op.N, op.D, dy.data, db.data[op.Lo:op.Lo+op.D])
		})
	case ops.Norm:
		x, w, y := in[F](a), inIf[F](a, op.Weight), out[F](a)
		return always(func() { kernels.NormForward(norm(op), x.data, w.get(), y.data) })
	case ops.NormGrad:
		x, w, dy := in[F](a), inIf[F](a, op.Weight), in[F](a)
		dx, dw := out[F](a), outIf[F](a, op.Weight)
		return always(func() { kernels.NormBackward(norm(op.Norm), x.data, w.get(), dy.data, dx.data, dw.get()) })
	case ops.Largest:
		x, values, at := in[F](a), out[F](a), out[F](a)
		return always(func() { largest(x.data, values.data, at.data) })
	case ops.CrossEntropy:
		return crossEntropy[F](op, a)
	case ops.CrossEntropyGrad:
		return crossEntropyGrad[F](op, a)
	}
	return nil
}

// binary binds a function of two arrays.
func binary[F kernels.Float](f func(a, b, y []F), a *operands) device.Launch {
	x, y, z := in[F](a), in[F](a), out[F](a)
	return always(func() { f(x.data, y.data, z.data) })
}

func sum[F kernels.Float](a *operands) device.Launch {
	vs, y := ins[F](a, len(a.in)), out[F](a)
	xs := make([][]F, len(vs))
	return always(func() {
		for k, v := range vs {
			xs[k] = v.data
		}
		kernels.Sum(xs, y.data)
	})
}

func dropout[F kernels.Float](op ops.Dropout, a *operands) device.Launch {
	x, key, y := in[F](a), ints(a, true), out[F](a)
	return always(func() {
		seed, step, row := uint64(key.data[0]), uint64(key.data[1]), uint64(key.data[2])
		kernels.Dropout(op.Rate, kernels.DropoutKey(seed, step, op.ID), row*uint64(op.Width()), x.data, y.data)
	})
}

func norm(op ops.Norm) kernels.Norm {
	return kernels.Norm{N: op.N, Width: op.Width, Groups: op.Groups, Eps: op.Eps, Centered: op.Centered, Residual: op.Residual}
}

// largest writes the results of ops.Largest.
func largest[F kernels.Float](x, values, at []F) {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch nan, other := x[i] != x[i], x[j] != x[j]; {
		case nan && !other || x[i] > x[j]:
			return -1
		case other && !nan || x[i] < x[j]:
			return 1
		}
		return 0
	})
	for k := range values {
		values[k], at[k] = x[order[k]], F(order[k])
	}
}
