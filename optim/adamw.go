package optim

import "github.com/pkg/errors"

// AdamWConfig configures AdamW. The zero value is valid, but decays nothing.
type AdamWConfig struct {
	// LR is the learning rate. Default: Constant(1e-3).
	LR Schedule

	// Beta1 and Beta2 are the fractions of the first and second moment that one
	// step keeps; they must be below 1. Zero means 0.9 and 0.95, as in the
	// xLSTM paper; for no memory, use a tiny number such as 1e-30.
	Beta1, Beta2 float64

	// Eps is added to the root of the second moment, in units of the gradient.
	// Zero means 1e-8.
	Eps float64

	// WeightDecay is λ: a step at learning rate η reduces each weight by the
	// fraction ηλ. Zero means no decay. The xLSTM paper uses 0.1.
	WeightDecay float64

	// Decays reports whether the parameter with the given name is subject to
	// WeightDecay. Nil means that all parameters are; OfficialDecay(false)
	// returns the groups of the official xLSTM.
	Decays func(name string) bool

	// ClipNorm is the maximum global norm of the gradient; a larger gradient is
	// scaled down to it. Zero means no clipping.
	ClipNorm float64
}

// AdamW is Adam with the weight decay decoupled from the gradient: Loshchilov &
// Hutter, "Decoupled Weight Decay Regularization" (2019), Algorithm 2, in
// PyTorch's form, where the decay is multiplied by the whole learning rate η.
// With g the clipped gradient and t the number of the step, starting at 1:
//
//	θ ← (1 - η·λ)·θ
//	m ← β1·m + (1-β1)·g
//	v ← β2·v + (1-β2)·g²
//	θ ← θ - η/(1-β1ᵗ) · m / (√v/√(1-β2ᵗ) + ε)
//
// The number t counts the solver's steps, including those from which a
// parameter was absent. m and v start at zero and are named "exp_avg" and
// "exp_avg_sq" in the State.
type AdamW struct{ core }

// NewAdamW returns a solver at step 0. It is an error if a beta is negative or
// not below 1, or if Eps, WeightDecay, ClipNorm or the first learning rate is
// negative or not finite.
func NewAdamW(cfg AdamWConfig) (*AdamW, error) {
	c, err := newAdamCore(AdamConfig(cfg), 0.95, true)
	if err != nil {
		return nil, errors.Wrap(err, "optim: configuring AdamW")
	}
	return &AdamW{c}, nil
}
