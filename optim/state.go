package optim

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// State is everything that a solver stores between steps. A solver that has the
// same configuration as another and is given its state continues from it
// exactly, to the bit.
type State struct {
	// Step is the number of steps done.
	Step int

	// Tensors holds the moments, under names such as "exp_avg.<parameter>",
	// with the shape and type of the parameter. Which there are, the comment of
	// each solver says. A scalar's has the shape ().
	Tensors map[string]*tensor.Dense
}

// State returns a copy of the solver's state, which later steps do not change.
func (c *core) State() State {
	s := State{Step: c.step, Tensors: make(map[string]*tensor.Dense)}
	for name, state := range c.moments {
		for i, buffer := range c.rule.buffers() {
			s.Tensors[buffer+"."+name] = state[i].Clone().(*tensor.Dense)
		}
	}
	return s
}

// SetState replaces the solver's state by a copy of s and resets GradNorm. It
// returns an error, and changes nothing, if the step is negative; if the name
// of a tensor does not belong to this kind of solver, or one of a pair is
// missing; if a tensor is neither float32 nor float64; or if a number is not
// finite or, in a second moment, negative, because the next step would turn the
// parameter into NaN. The shapes and types are compared with those of the
// parameters in the next Step.
func (c *core) SetState(s State) error {
	if s.Step < 0 {
		return errors.Errorf("optim: restoring the state: %d is not a number of steps", s.Step)
	}
	moments := make(map[string][]*tensor.Dense)
	for _, key := range slices.Sorted(maps.Keys(s.Tensors)) {
		if err := c.restore(moments, key, s.Tensors[key]); err != nil {
			return errors.Wrapf(err, "optim: restoring the state: tensor %q", key)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(moments)) {
		if i := slices.Index(moments[name], nil); i >= 0 {
			return errors.Errorf("optim: restoring the state: tensor %q is missing", c.rule.buffers()[i]+"."+name)
		}
	}
	c.step, c.norm, c.moments = s.Step, 0, moments
	return nil
}

// restore copies one tensor of a State to moments.
func (c *core) restore(moments map[string][]*tensor.Dense, key string, d *tensor.Dense) error {
	buffers := c.rule.buffers()
	buffer, name, _ := strings.Cut(key, ".")
	i := slices.Index(buffers, buffer)
	if i < 0 || name == "" {
		return errors.Errorf("does not belong to this solver, which keeps %q per parameter", buffers)
	}
	v, err := viewOf(d)
	if err != nil {
		return err
	}
	own := v.copied()
	if err := checkMoment(own, buffer == secondMoment); err != nil {
		return err
	}
	if moments[name] == nil {
		moments[name] = make([]*tensor.Dense, len(buffers))
	}
	moments[name][i] = dense(own, v.shape)
	return nil
}

// checkMoment returns an error for numbers that no step can produce.
func checkMoment(x floats.Slice, square bool) error {
	if i := firstBad(x.F32, square); i >= 0 {
		return errors.Errorf("number %d is %v, which a moment cannot be", i, x.F32[i])
	}
	if i := firstBad(x.F64, square); i >= 0 {
		return errors.Errorf("number %d is %v, which a moment cannot be", i, x.F64[i])
	}
	return nil
}

// firstBad returns the index of the first number that is not finite or, in a
// mean of squares, negative, or -1 if there is none.
func firstBad[T floats.Float](x []T, square bool) int {
	return slices.IndexFunc(x, func(v T) bool {
		f := float64(v)
		return math.IsNaN(f) || math.IsInf(f, 0) || square && f < 0
	})
}
