package optim

import (
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/pkg/errors"
)

// SGDConfig configures SGD. The zero value is valid.
type SGDConfig struct {
	// LR is the learning rate. Default: Constant(1e-3).
	LR Schedule

	// Momentum is the fraction of the velocity that one step keeps, below 1.
	// Zero means no momentum, and no state.
	Momentum float64

	// WeightDecay is the factor λ of an L2 penalty λ/2·|θ|², whose gradient λθ
	// is added to the (clipped) gradient. Zero means none.
	WeightDecay float64

	// Decays reports whether the parameter with the given name is subject to
	// WeightDecay. Nil means that all parameters are.
	Decays func(name string) bool

	// ClipNorm is the maximum global norm of the gradient; a larger gradient is
	// scaled down to it. Zero means no clipping.
	ClipNorm float64
}

// SGD is stochastic gradient descent with momentum: Polyak's heavy ball in
// PyTorch's form, where the learning rate stays outside the velocity and there
// is no dampening. With g the clipped gradient plus λθ and η the learning rate:
//
//	b ← μ·b + g
//	θ ← θ - η·b
//
// b starts at zero and is named "momentum_buffer" in the State.
type SGD struct{ core }

// NewSGD returns a solver at step 0. It is an error if Momentum is negative or
// not below 1, or if WeightDecay, ClipNorm or the first learning rate is
// negative or not finite.
func NewSGD(cfg SGDConfig) (*SGD, error) {
	if !(cfg.Momentum >= 0 && cfg.Momentum < 1) {
		return nil, errors.Errorf("optim: configuring SGD: the momentum is %v, not at least 0 and below 1", cfg.Momentum)
	}
	r := sgdRule{cfg.Momentum}
	c, err := newCore(r, settings{lr: cfg.LR, decay: cfg.WeightDecay, decays: cfg.Decays, clip: cfg.ClipNorm})
	if err != nil {
		return nil, errors.Wrap(err, "optim: configuring SGD")
	}
	return &SGD{c}, nil
}

// sgdRule is the formula of SGD.
type sgdRule struct{ momentum float64 }

func (r sgdRule) buffers() []string {
	if r.momentum == 0 {
		return nil
	}
	return []string{"momentum_buffer"}
}

func (r sgdRule) update(w, g floats.Slice, state [2]floats.Slice, a amounts) {
	if w.F32 != nil {
		sgdStep(w.F32, g.F32, state[0].F32, r.momentum, a)
	} else {
		sgdStep(w.F64, g.F64, state[0].F64, r.momentum, a)
	}
}

// sgdStep is one step on a range of a parameter. Without momentum b is empty.
func sgdStep[T floats.Float](w, g, b []T, momentum float64, a amounts) {
	mu, rate, scale, l2 := T(momentum), T(a.rate), T(a.scale), T(a.decay)
	g = g[:len(w)]
	if len(b) == 0 {
		for i, wi := range w {
			w[i] = wi - rate*(scale*g[i]+l2*wi)
		}
		return
	}
	b = b[:len(w)]
	for i, wi := range w {
		bi := mu*b[i] + (scale*g[i] + l2*wi)
		b[i] = bi
		w[i] = wi - rate*bi
	}
}
