package optim

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
	"github.com/pkg/errors"
)

// AdamConfig configures Adam. The zero value is valid.
type AdamConfig struct {
	// LR is the learning rate. Default: Constant(1e-3).
	LR Schedule

	// Beta1 and Beta2 are the fractions of the first and second moment that one
	// step keeps; they must be below 1. Zero means the paper's 0.9 and 0.999;
	// for no memory, use a tiny number such as 1e-30.
	Beta1, Beta2 float64

	// Eps is added to the root of the second moment, in units of the gradient.
	// Zero means 1e-8.
	Eps float64

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

// Adam is the solver of Kingma & Ba, "Adam: A Method for Stochastic
// Optimization" (2015), Algorithm 1, with PyTorch's L2 penalty. With g the
// clipped gradient plus λθ, η the learning rate and t the number of the step,
// starting at 1:
//
//	m ← β1·m + (1-β1)·g
//	v ← β2·v + (1-β2)·g²
//	θ ← θ - η · m/(1-β1ᵗ) / (√(v/(1-β2ᵗ)) + ε)
//
// The number t counts the solver's steps, including those from which a
// parameter was absent. m and v start at zero and are named "exp_avg" and
// "exp_avg_sq" in the State. For decoupled weight decay, see AdamW.
type Adam struct{ core }

// NewAdam returns a solver at step 0. It is an error if a beta is negative or
// not below 1, or if Eps, WeightDecay, ClipNorm or the first learning rate is
// negative or not finite.
func NewAdam(cfg AdamConfig) (*Adam, error) {
	c, err := newAdamCore(cfg, 0.999, false)
	if err != nil {
		return nil, errors.Wrap(err, "optim: configuring Adam")
	}
	return &Adam{c}, nil
}

// adamRule is the formula of Adam and, if the decay is decoupled, of AdamW.
type adamRule struct {
	beta1, beta2, eps float64
	decoupled         bool
}

// newAdamCore checks the numbers and replaces zeros by defaults, which are the
// same for Adam and AdamW except beta2's.
func newAdamCore(cfg AdamConfig, beta2 float64, decoupled bool) (core, error) {
	r := adamRule{orDefault(cfg.Beta1, 0.9), orDefault(cfg.Beta2, beta2), orDefault(cfg.Eps, 1e-8), decoupled}
	for _, beta := range []float64{r.beta1, r.beta2} {
		if !(beta > 0 && beta < 1) {
			return core{}, errors.Errorf("a beta is %v, not between 0 and 1", beta)
		}
	}
	if err := notNegative("eps", r.eps); err != nil {
		return core{}, err
	}
	return newCore(r, settings{lr: cfg.LR, decay: cfg.WeightDecay, decays: cfg.Decays, clip: cfg.ClipNorm})
}

func orDefault(x, instead float64) float64 {
	if x == 0 {
		return instead
	}
	return x
}

// secondMoment is the buffer of means of squares.
const secondMoment = "exp_avg_sq"

func (adamRule) buffers() []string { return []string{"exp_avg", secondMoment} }

func (r adamRule) update(w, g floats.Slice, state [2]floats.Slice, a amounts) {
	k := r.factors(a)
	if w.F32 != nil {
		vec.AdamStep(k, g.F32, state[0].F32, state[1].F32, w.F32)
	} else {
		vec.AdamStep(k, g.F64, state[0].F64, state[1].F64, w.F64)
	}
}

// factors are the coefficients of one step, computed in float64.
func (r adamRule) factors(a amounts) vec.Adam {
	t := float64(a.step)
	k := vec.Adam{
		Scale: a.scale,
		Beta1: r.beta1, Fresh1: 1 - r.beta1,
		Beta2: r.beta2, Fresh2: 1 - r.beta2,
		Keep:   1,
		Rate:   a.rate / (1 - math.Pow(r.beta1, t)),
		Unbias: 1 / math.Sqrt(1-math.Pow(r.beta2, t)),
		Eps:    r.eps,
	}
	if r.decoupled {
		k.Keep = 1 - a.rate*a.decay
	} else {
		k.L2 = a.decay
	}
	return k
}
