package optim

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// unnamed is what (*gorgonia.Node).Name returns for an input without a name.
const unnamed = "%!s(<nil>)()"

// param is a parameter during one step.
type param struct {
	name  string
	shape tensor.Shape
	w, g  floats.Slice    // weight and gradient, row-major
	state [2]floats.Slice // what the rule keeps, as far as it keeps anything
	decay float64         // weight decay, 0 where the predicate says no

	grad view // g where the graph keeps it
	ours bool // whether the graph adds into the gradient and leaves the zeroing to us
}

// zeroGrads zeroes the gradients that a step has to zero. Two parameters may
// share a gradient, so this happens after all reading.
func zeroGrads(params []param) {
	for i := range params {
		if params[i].ours {
			params[i].grad.zero()
		}
	}
}

// reader turns the arguments of Step into params. It keeps its memory for the
// next step.
type reader struct {
	params []param
	chunks []chunk
	names  map[string]bool
	places map[uintptr]string // parameter names by the addresses of weights
}

// read fills params and chunks from the model and checks that the parameters
// are sound and distinct.
func (r *reader) read(model []gorgonia.ValueGrad) error {
	if len(model) == 0 {
		return errors.New("there are no parameters")
	}
	if r.names == nil {
		r.names, r.places = make(map[string]bool), make(map[uintptr]string)
	}
	for i, vg := range model {
		p, err := readParam(vg)
		if err != nil {
			return errors.Wrapf(err, "parameter %d", i)
		}
		if err := r.claim(p.name, vg.Value().Uintptr()); err != nil {
			return err
		}
		r.params = append(r.params, p)
	}
	r.chunks = split(r.chunks, r.params)
	return nil
}

// claim records a parameter's name and the address of its weight, which must
// both be unique: moments are kept by name, and weights are updated in
// parallel.
func (r *reader) claim(name string, place uintptr) error {
	if r.names[name] {
		return errors.Errorf("two parameters have the name %q", name)
	}
	if other, taken := r.places[place]; taken {
		return errors.Errorf("parameters %q and %q have one tensor as their value; let them be one node", other, name)
	}
	r.names[name], r.places[place] = true, name
	return nil
}

// release forgets the graph but keeps the memory for the next read.
func (r *reader) release() {
	clear(r.params)
	clear(r.chunks)
	clear(r.names)
	clear(r.places)
	r.params, r.chunks = r.params[:0], r.chunks[:0]
}

// readParam reads everything about a parameter but its state.
func readParam(vg gorgonia.ValueGrad) (p param, err error) {
	if p.name, err = nameOf(vg); err != nil {
		return p, err
	}
	value := vg.Value()
	if value == nil {
		return p, errors.Errorf("%q has no value", p.name)
	}
	weight, err := viewOf(value)
	if err != nil {
		return p, errors.Wrapf(err, "reading the value of %q", p.name)
	}
	p.shape = weight.shape
	if !weight.rowMajor() {
		return p, errors.Errorf("the value of %q has shape %v with strides %v, which is not row-major",
			p.name, p.shape, weight.strides)
	}
	if err = p.readGrad(vg); err != nil {
		return p, errors.Wrapf(err, "reading the gradient of %q", p.name)
	}
	p.w = weight.flat()
	if p.w.Dtype() != p.g.Dtype() {
		return p, errors.Errorf("%q is %v but its gradient is %v", p.name, p.w.Dtype(), p.g.Dtype())
	}
	if !sameExtents(p.shape, p.grad.shape) {
		return p, errors.Errorf("%q has shape %v but its gradient has shape %v",
			p.name, p.shape, tensor.Shape(p.grad.shape))
	}
	return p, nil
}

// readGrad reads the gradient.
func (p *param) readGrad(vg gorgonia.ValueGrad) error {
	grad, err := vg.Grad()
	if err != nil {
		return errors.Wrap(err, "asking for it")
	}
	if grad == nil {
		return errors.New("there is none: has the graph been run?")
	}
	if p.grad, err = viewOf(grad); err != nil {
		return err
	}
	p.g = p.grad.flat()
	p.ours = true
	if n, ok := vg.(interface{ Deriv() *gorgonia.Node }); ok && n.Deriv() != nil {
		p.ours = n.Deriv().Value() != grad
	}
	return nil
}

// nameOf returns the name of a parameter.
func nameOf(vg gorgonia.ValueGrad) (string, error) {
	if vg == nil {
		return "", errors.New("it is nil")
	}
	n, ok := vg.(gorgonia.Namer)
	if !ok {
		return "", errors.Errorf("a %T has no method Name() string", vg)
	}
	name := n.Name()
	if name == "" || name == unnamed {
		return "", errors.New("it has no name")
	}
	return name, nil
}

// attach gives the parameter its stored state. A state of another shape or type
// is from another model, which is an error.
func (p *param) attach(state []*tensor.Dense) error {
	for i, d := range state {
		v, err := viewOf(d)
		if err != nil {
			return errors.Wrapf(err, "reading the state kept for %q", p.name)
		}
		if p.w.Dtype() != v.raw.Dtype() || !slices.Equal(p.shape, tensor.Shape(v.shape)) {
			return errors.Errorf("%q is %v of shape %v but the state kept for it is %v of shape %v",
				p.name, p.w.Dtype(), p.shape, v.raw.Dtype(), tensor.Shape(v.shape))
		}
		p.state[i] = v.flat()
	}
	return nil
}
