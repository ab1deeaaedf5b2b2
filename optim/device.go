package optim

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// DeviceParam is a parameter in the memory of a device, and its gradient there.
type DeviceParam struct {
	Name        string
	Shape       tensor.Shape
	Value, Grad device.Buffer
	// Copy is a copy of the value in bfloat16 that every step renews, or nil.
	Copy device.Buffer
}

// OnDevice is a solver bound to parameters in the memory of a device. The
// solver itself holds the moments as of the last Fetch. A step consists of
// Begin, the launches that Launches returns, which may be part of a larger
// list, and End.
type OnDevice struct {
	core    *core
	device  device.Device
	params  []DeviceParam
	moments [2][]device.Buffer // by parameter

	numbers, most, norm device.Buffer
	others              *Others       // nil if no other process updates parameters
	none                device.Buffer // a bound of 0, with others
	launches            []device.Launch
	rate                float64         // of the step that has begun
	memory              []device.Buffer // all that the solver has allocated
}

// Others describes the processes that update one model together, each a part of its
// parameters, and how their devices exchange the norms of the gradients.
type Others struct {
	// Rank is the number of this process. Norms has two numbers for each process;
	// Gather copies those of each to all others.
	Rank   int
	Norms  device.Buffer
	Gather device.Launch
}

// numberCount is the length of the input numbers of ops.AdamStep.
const numberCount = 6

// OnDevice binds the solver, with its current moments, to parameters on a
// device. All parameters must have the same type, float32 or float64. Step must
// no longer be called for the model. With others, not nil, the parameters are the
// part of this process, and may be stretches of parameters.
func (a *Adam) OnDevice(d device.Device, params []DeviceParam, others *Others) (*OnDevice, error) {
	return a.onDevice(d, params, others)
}

// OnDevice binds the solver to parameters on a device; see Adam.OnDevice.
func (a *AdamW) OnDevice(d device.Device, params []DeviceParam, others *Others) (*OnDevice, error) {
	return a.onDevice(d, params, others)
}

func (c *core) onDevice(d device.Device, params []DeviceParam, others *Others) (*OnDevice, error) {
	rule, adam := c.rule.(adamRule)
	if !adam || len(params) == 0 {
		return nil, errors.Errorf("optim: %d parameters of this solver on %s", len(params), d.Name())
	}
	o := &OnDevice{core: c, device: d, params: params, others: others}
	if err := o.allocate(); err != nil {
		o.Close() // the error is that of the memory
		return nil, errors.Wrapf(err, "optim: memory on %s", d.Name())
	}
	return o, errors.Wrapf(o.bind(rule), "optim: preparing a step on %s", d.Name())
}

func (o *OnDevice) dtype() ops.Dtype { return o.params[0].Value.Dtype() }

func (o *OnDevice) allocate() (err error) {
	for _, b := range []struct {
		to *device.Buffer
		n  int
	}{{&o.numbers, numberCount}, {&o.most, 1}, {&o.none, 1}, {&o.norm, 2}} {
		if *b.to, err = o.alloc(b.n); err != nil {
			return err
		}
	}
	if err := o.upload(o.most, o.core.clip); err != nil {
		return err
	}
	if err := o.upload(o.none, 0); err != nil {
		return err
	}
	for k := range o.moments {
		for _, p := range o.params {
			m, err := o.alloc(p.Value.Len())
			if err != nil {
				return err
			}
			o.moments[k] = append(o.moments[k], m)
		}
	}
	return o.Push()
}

// bind prepares the operations of a step.
func (o *OnDevice) bind(rule adamRule) error {
	var sizes []int
	var decay []float64
	var values, grads []device.Buffer
	for _, p := range o.params {
		sizes = append(sizes, p.Value.Len())
		values, grads = append(values, p.Value), append(grads, p.Grad)
		if c := o.core; c.decay != 0 && c.decays(p.Name) {
			decay = append(decay, c.decay)
		} else {
			decay = append(decay, 0)
		}
	}
	if err := o.bindNorm(sizes, grads); err != nil {
		return err
	}
	step := ops.AdamStep{Sizes: sizes, Decay: decay, Decoupled: rule.decoupled}
	all := append(append(values, o.moments[0]...), o.moments[1]...)
	in := append(append([]device.Buffer{o.numbers, o.norm}, grads...), all...)
	for k, p := range o.params {
		if p.Copy != nil {
			step.Copies, all = append(step.Copies, k), append(all, p.Copy)
		}
	}
	return o.add(step, all, in)
}

// bindNorm prepares the norm of the gradients, which with others is that of the
// norms of all.
func (o *OnDevice) bindNorm(sizes []int, grads []device.Buffer) error {
	clip := ops.ClipNorm{Sizes: sizes}
	if o.others == nil {
		return o.add(clip, []device.Buffer{o.norm}, append([]device.Buffer{o.most}, grads...))
	}
	all := o.others.Norms
	mine := all.Slice(2*o.others.Rank, 2)
	if err := o.add(clip, []device.Buffer{mine}, append([]device.Buffer{o.none}, grads...)); err != nil {
		return err
	}
	o.launches = append(o.launches, o.others.Gather)
	norms := ops.ClipNorm{}
	in := []device.Buffer{o.most}
	for k := 0; k < all.Len(); k += 2 {
		norms.Sizes, in = append(norms.Sizes, 1), append(in, all.Slice(k, 1))
	}
	return o.add(norms, []device.Buffer{o.norm}, in)
}

func (o *OnDevice) add(op ops.Op, out, in []device.Buffer) (err error) {
	var workspace device.Buffer
	if n := o.device.Workspace(op, o.dtype(), device.Half{}); n > 0 {
		if workspace, err = o.alloc(n); err != nil {
			return err
		}
	}
	l, err := o.device.Bind(op, out, in, workspace)
	o.launches = append(o.launches, l)
	return err
}

// upload writes numbers to a buffer.
func (o *OnDevice) upload(b device.Buffer, xs ...float64) error {
	x := floats.Make(o.dtype(), len(xs))
	x.Write(xs)
	return o.device.Upload(b, x.Data())
}

// Begin writes the coefficients of the next step to the device.
func (o *OnDevice) Begin() (err error) {
	c := o.core
	if o.rate, err = c.lr.at(c.step + 1); err != nil {
		return errors.Wrap(err, "optim: starting a step")
	}
	k := c.rule.(adamRule).factors(amounts{step: c.step + 1, rate: o.rate})
	return errors.Wrap(o.upload(o.numbers, o.rate, k.Rate, k.Unbias, k.Beta1, k.Beta2, k.Eps), "optim: starting a step")
}

// Launches returns the operations of a step: the norm, and the update, which
// changes nothing if the norm is not finite.
func (o *OnDevice) Launches() []device.Launch { return o.launches }

// End waits for the step. It returns a *NonFiniteError if the norm was not
// finite; the step was then not applied.
func (o *OnDevice) End() error {
	norm, err := o.download(o.norm)
	if err != nil {
		return errors.Wrap(err, "optim: ending a step")
	}
	c := o.core
	if !finite(norm[0]) {
		name, err := o.firstNonFinite()
		if err != nil {
			return errors.Wrap(err, "optim: looking for a gradient that is not finite")
		}
		return &NonFiniteError{Step: c.step + 1, Norm: norm[0], Param: name}
	}
	c.step, c.norm = c.step+1, norm[0]
	return nil
}

// firstNonFinite returns the name of the first parameter with such a gradient.
func (o *OnDevice) firstNonFinite() (string, error) {
	for _, p := range o.params {
		g, err := o.download(p.Grad)
		if err != nil {
			return "", err
		}
		for _, x := range g {
			if !finite(x) {
				return p.Name, nil
			}
		}
	}
	return "", nil
}

func (o *OnDevice) download(b device.Buffer) ([]float64, error) {
	x := floats.Make(b.Dtype(), b.Len())
	if err := o.device.Download(x.Data(), b); err != nil {
		return nil, err
	}
	return x.Float64s(), nil
}

// Fetch copies the moments from the device to the solver.
func (o *OnDevice) Fetch() error {
	return o.eachMoment(func(host any, b device.Buffer) error { return o.device.Download(host, b) })
}

// Push copies the moments from the solver to the device; it is needed after
// SetState.
func (o *OnDevice) Push() error {
	return o.eachMoment(func(host any, b device.Buffer) error { return o.device.Upload(b, host) })
}

// eachMoment calls f with every moment of the solver, made where there was
// none, and its buffer on the device.
func (o *OnDevice) eachMoment(f func(host any, b device.Buffer) error) error {
	for i, p := range o.params {
		state := o.core.moments[p.Name]
		if state == nil {
			dt := tensor.Float32
			if o.dtype() == ops.Float64 {
				dt = tensor.Float64
			}
			for range o.moments {
				state = append(state, tensor.New(tensor.Of(dt), tensor.WithShape(p.Shape...)))
			}
			o.core.moments[p.Name] = state
		}
		for k, buffers := range o.moments {
			if state[k].Size() != buffers[i].Len() {
				return errors.Errorf("optim: the moments kept for %q have %d elements, the parameter %d", p.Name, state[k].Size(), buffers[i].Len())
			}
			if err := f(state[k].Data(), buffers[i]); err != nil {
				return errors.Wrapf(err, "optim: moments of %q", p.Name)
			}
		}
	}
	return nil
}

// alloc returns memory that Close frees.
func (o *OnDevice) alloc(n int) (device.Buffer, error) {
	b, err := o.device.Alloc(o.dtype(), n)
	if err == nil {
		o.memory = append(o.memory, b)
	}
	return b, err
}

// Close frees the memory of the solver on the device.
func (o *OnDevice) Close() error {
	for _, b := range o.memory {
		if err := o.device.Free(b); err != nil {
			return err
		}
	}
	o.memory = nil
	return nil
}
