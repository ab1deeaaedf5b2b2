package cpu

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// bindOptimiser binds what a step of training ends with.
func bindOptimiser[F kernels.Float](op ops.Op, a *operands) device.Launch {
	switch op := op.(type) {
	case ops.ClipNorm:
		most, grads, norm := in[F](a), ins[F](a, len(op.Sizes)), out[F](a)
		return always(func() { clip(most.data[0], grads, norm.data) })
	case ops.AdamStep:
		n := len(op.Sizes)
		numbers, norm, grads := in[F](a), in[F](a), ins[F](a, n)
		old, all := ins[F](a, 3*n), outs[F](a)
		return always(func() {
			for k, x := range all[:3*n] {
				copy(x.data, old[k].data)
			}
			for k := range n {
				if norm.data[1] >= 0 {
					kernels.AdamStep(adam(op, k, numbers.data, norm.data[1]), grads[k].data, all[n+k].data, all[2*n+k].data, all[k].data)
				}
			}
			for i, k := range op.Copies {
				copy(all[3*n+i].data, all[k].data)
			}
		})
	case ops.MoveMean:
		share, xs, old, means := in[F](a), ins[F](a, len(op.Sizes)), ins[F](a, len(op.Sizes)), outs[F](a)
		return always(func() {
			for k, mean := range means {
				copy(mean.data, old[k].data)
				kernels.MoveMean(share.data[0], xs[k].data, mean.data)
			}
		})
	}
	return nil
}

// clip writes the norm and the factor of ops.ClipNorm.
func clip[F kernels.Float](most F, grads []*vector[F], norm []F) {
	var sum float64
	for _, g := range grads {
		sum += kernels.Squares(g.data)
	}
	sum = math.Sqrt(sum)
	norm[0], norm[1] = F(sum), 1
	switch {
	case math.IsNaN(sum) || math.IsInf(sum, 0):
		norm[1] = -1
	case most > 0:
		norm[1] = F(math.Min(1, float64(most)/(sum+1e-6)))
	}
}

// adam returns the numbers for parameter k.
func adam[F kernels.Float](op ops.AdamStep, k int, numbers []F, scale F) kernels.Adam {
	beta1, beta2 := float64(numbers[3]), float64(numbers[4])
	step := kernels.Adam{
		Scale: float64(scale), Keep: 1, Rate: float64(numbers[1]), Unbias: float64(numbers[2]), Eps: float64(numbers[5]),
		Beta1: beta1, Fresh1: 1 - beta1, Beta2: beta2, Fresh2: 1 - beta2,
	}
	if op.Decoupled {
		step.Keep = 1 - float64(numbers[0])*op.Decay[k]
	} else {
		step.L2 = op.Decay[k]
	}
	return step
}
