package optim

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// defaultRate is the learning rate of a configuration without one, PyTorch's
// for all three solvers.
const defaultRate = 1e-3

// rule is the formula of a solver.
type rule interface {
	// buffers names the tensors that the rule keeps per parameter, two at most,
	// as PyTorch names them.
	buffers() []string

	// update changes w and state given g. It is element-wise, so a stretch of a
	// parameter will do.
	update(w, g floats.Slice, state [2]floats.Slice, a amounts)
}

// amounts are the coefficients of one step for one parameter.
type amounts struct {
	step  int     // 1 in the first step
	rate  float64 // learning rate
	scale float64 // what clipping multiplies the gradient by
	decay float64 // weight decay
}

// settings are what all solvers have in common.
type settings struct {
	lr     Schedule
	decay  float64
	decays func(name string) bool
	clip   float64
}

// core is a solver for any rule. The exported solvers embed it.
type core struct {
	rule rule
	settings
	reader

	step    int
	norm    float64
	moments map[string][]*tensor.Dense // by parameter name, in the order of rule.buffers
}

// newCore checks the settings and fills in their defaults.
func newCore(r rule, s settings) (core, error) {
	if s.lr == nil {
		s.lr = Constant(defaultRate)
	}
	if s.decays == nil {
		s.decays = func(string) bool { return true }
	}
	if _, err := s.lr.at(1); err != nil {
		return core{}, err
	}
	if err := notNegative("weight decay", s.decay); err != nil {
		return core{}, err
	}
	if err := notNegative("clip norm", s.clip); err != nil {
		return core{}, err
	}
	return core{rule: r, settings: s, moments: make(map[string][]*tensor.Dense)}, nil
}

// notNegative returns an error for a number that is negative or not finite.
func notNegative(what string, x float64) error {
	if !(x >= 0) || math.IsInf(x, 0) {
		return errors.Errorf("the %s is %v, not a finite number of at least 0", what, x)
	}
	return nil
}

// Step updates the parameters from their gradients and then zeroes these, as
// the package comment describes. It implements gorgonia.Solver. The parameters
// may differ from step to step; the state of an absent parameter does not
// change.
//
// If the norm of the gradients is not finite, Step zeroes them and returns a
// *NonFiniteError. It returns another error, and changes nothing, if the model
// is empty; if a parameter has no name, or two have the same name or the same
// tensor; if a value or gradient is missing, is neither float32 nor float64, or
// differs from its counterpart in type or shape; if a value is not stored in
// row-major order; if the state kept under a parameter's name has another type
// or shape; or if the schedule returns a rate that is negative or not finite.
func (c *core) Step(model []gorgonia.ValueGrad) error { return c.StepPart(model, nil) }

// StepPart is Step for a part of a model, of which other processes update the rest:
// the gradients of all decide on clipping, and whether the norm is finite. Those of
// the rest are only read. A nil all stands for the part.
func (c *core) StepPart(part, all []gorgonia.ValueGrad) error {
	step := c.step + 1
	rate, err := c.lr.at(step)
	if err != nil {
		return errors.Wrap(err, "optim: starting a step")
	}
	defer c.release()
	if err := c.read(part); err != nil {
		return errors.Wrapf(err, "optim: reading the parameters for step %d", step)
	}
	if err := c.findState(); err != nil {
		return errors.Wrapf(err, "optim: finding the state for step %d", step)
	}
	counted, err := c.counted(all)
	if err != nil {
		return errors.Wrapf(err, "optim: reading the gradients for step %d", step)
	}
	norm := globalNorm(counted)
	if !finite(norm) {
		zeroGrads(c.params)
		return &NonFiniteError{Step: step, Norm: norm, Param: firstNonFinite(counted)}
	}
	c.addState()
	c.update(amounts{step: step, rate: rate, scale: clipScale(c.clip, norm)})
	zeroGrads(c.params)
	c.step, c.norm = step, norm
	return nil
}

// counted returns the chunks of the gradients that count in the norm: those of all,
// or without all those of the step.
func (c *core) counted(all []gorgonia.ValueGrad) (chunks []chunk, err error) {
	if all == nil {
		return c.chunks, nil
	}
	params := make([]param, len(all))
	for i, vg := range all {
		p := &params[i]
		if p.name, err = nameOf(vg); err != nil {
			return nil, errors.Wrapf(err, "parameter %d", i)
		}
		if err := p.readGrad(vg); err != nil {
			return nil, errors.Wrapf(err, "the gradient of %q", p.name)
		}
	}
	return split(nil, params), nil
}

// findState attaches the stored state to each known parameter and determines
// its decay.
func (c *core) findState() error {
	for i := range c.params {
		p := &c.params[i]
		if err := p.attach(c.moments[p.name]); err != nil {
			return err
		}
		if c.decay != 0 && c.decays(p.name) {
			p.decay = c.decay
		}
	}
	return nil
}

// addState attaches a state of zeros to each new parameter.
func (c *core) addState() {
	for i := range c.params {
		p := &c.params[i]
		if _, known := c.moments[p.name]; known {
			continue
		}
		state := make([]*tensor.Dense, len(c.rule.buffers()))
		for j := range state {
			p.state[j] = p.w.Like(p.w.Len())
			state[j] = dense(p.state[j], p.shape)
		}
		c.moments[p.name] = state
	}
}

// update applies the rule to every chunk.
func (c *core) update(a amounts) {
	cores.Run(len(c.chunks), func(i int) {
		ch := &c.chunks[i]
		p, a := ch.p, a
		a.decay = p.decay
		state := [2]floats.Slice{p.state[0].Cut(ch.lo, ch.hi), p.state[1].Cut(ch.lo, ch.hi)}
		c.rule.update(p.w.Cut(ch.lo, ch.hi), p.g.Cut(ch.lo, ch.hi), state, a)
	})
}

// LR returns the learning rate of the last successful step, or 0 if there was
// none. After SetState, it is that of the last step of the state.
func (c *core) LR() float64 {
	if c.step == 0 {
		return 0
	}
	return c.lr(c.step)
}

// GradNorm returns the global norm of the gradient of the last successful step,
// before clipping, or 0 if this solver has made no step.
func (c *core) GradNorm() float64 { return c.norm }
