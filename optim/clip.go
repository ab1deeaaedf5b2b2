package optim

import (
	"fmt"
	"math"

	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// clipEps keeps the clipping factor finite; the value is PyTorch's.
const clipEps = 1e-6

// clipScale returns the factor that reduces a gradient of the given norm to a
// norm of at most max, where 0 means no limit: Pascanu et al., "On the
// difficulty of training recurrent neural networks" (2013), Algorithm 1.
func clipScale(max, norm float64) float64 {
	if max == 0 {
		return 1
	}
	return math.Min(1, max/(norm+clipEps))
}

// GlobalNorm returns the Euclidean norm of all gradients taken as one vector.
// It sums in float64, always in the same order, and does not change the
// gradients. A gradient shared by several parameters counts once for each of
// them. The norm is 0 if there are no parameters, and not finite if a gradient
// contains a NaN, an infinity or elements of about 1e154 and more. GlobalNorm
// returns an error if a gradient is missing or is neither float32 nor float64.
func GlobalNorm(model []gorgonia.ValueGrad) (float64, error) {
	params := make([]param, len(model))
	for i, vg := range model {
		if vg == nil {
			return 0, errors.Errorf("optim: computing the gradient norm: parameter %d is nil", i)
		}
		if err := params[i].readGrad(vg); err != nil {
			return 0, errors.Wrapf(err, "optim: computing the gradient norm: reading the gradient of parameter %d", i)
		}
	}
	return globalNorm(split(nil, params)), nil
}

// NonFiniteError is the error of a Step whose gradients have a norm that is NaN
// or infinite. The step was not applied: weights, state and step count are
// unchanged, so that training may continue with the next batch. The gradients
// have been zeroed.
type NonFiniteError struct {
	Step  int     // the step that was not done; the next Step tries it again
	Norm  float64 // NaN or +Inf
	Param string  // the first parameter with such a gradient, empty if only the sum over all of them overflowed
}

// Error names the step and the first parameter with a bad gradient.
func (e *NonFiniteError) Error() string {
	where := "over all parameters together"
	if e.Param != "" {
		where = fmt.Sprintf("first in parameter %q", e.Param)
	}
	return fmt.Sprintf("optim: the gradient norm of step %d is %v, %s; the step was not done", e.Step, e.Norm, where)
}

// firstNonFinite returns the name of the first parameter with a chunk whose sum
// of squares is not finite.
func firstNonFinite(chunks []chunk) string {
	for _, c := range chunks {
		if !finite(c.sum) {
			return c.p.name
		}
	}
	return ""
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
