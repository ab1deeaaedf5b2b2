package optim

import (
	"fmt"
	"math"

	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// clipEps keeps the clipping factor finite; the value is PyTorch's.
const clipEps = 1e-6

// clipScale returns what to multiply a gradient of the given norm by so that its norm is at most max, where 0
// means no limit: Pascanu et al., "On the difficulty of training recurrent neural networks" (2013), Algorithm
// 1.
func clipScale(max, norm float64) float64 {
	if max == 0 {
		return 1
	}
	return math.Min(1, max/(norm+clipEps))
}

// GlobalNorm returns the Euclidean norm of all gradients taken as one vector, in the gradients' unit. It adds
// up in float64, always in the same order, and changes nothing. A gradient that several parameters share counts
// once for each. The norm of no parameters is 0; that of gradients with a NaN or an infinity, or with elements
// around 1e154 and beyond, is not finite. It is an error if a gradient is missing or not made of float32 or
// float64.
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

// NonFiniteError is returned by a Step whose gradients have a norm that is NaN or infinite. The step was not
// done: weights, state and step count are as they were, so that training may go on with the next batch. The
// gradients have been zeroed.
type NonFiniteError struct {
	Step  int     // the step that was not done; the next Step tries it again
	Norm  float64 // NaN or +Inf
	Param string  // the first parameter with such a gradient, empty if only the sum over all of them overflowed
}

// Error says which step was refused and where to look.
func (e *NonFiniteError) Error() string {
	where := "over all parameters together"
	if e.Param != "" {
		where = fmt.Sprintf("first in parameter %q", e.Param)
	}
	return fmt.Sprintf("optim: the gradient norm of step %d is %v, %s; the step was not done", e.Step, e.Norm, where)
}

// firstNonFinite returns the name of the first parameter with a chunk whose sum of squares is not finite.
func firstNonFinite(chunks []chunk) string {
	for _, c := range chunks {
		if !finite(c.sum) {
			return c.p.name
		}
	}
	return ""
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
