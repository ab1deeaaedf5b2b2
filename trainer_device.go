package xlstm

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
)

// deviceSolver is a Solver that can step on a device.
type deviceSolver interface {
	OnDevice(d device.Device, params []optim.DeviceParam) (*optim.OnDevice, error)
}

// remoteTrainer is what a Trainer of a model on a device has there. Where the
// solver is none of package optim's for devices, it steps on the host, and
// gradients and parameters are copied back and forth.
type remoteTrainer struct {
	device Device
	solver *optim.OnDevice // nil for one that steps on the host
	// whole is a run and the step after it in one, update the step alone; nil
	// without solver. mean takes the gradients of a run into the means; nil for one
	// batch a step.
	whole, update, mean func() error
	share               nodes.Buffer
	means               []nodes.Buffer
}

// newRemoteTrainer prepares the trainer's program and solver for one another.
func (t *Trainer) newRemoteTrainer() error {
	p := t.program
	r := &remoteTrainer{device: p.remote.device}
	t.remote = r
	var params []optim.DeviceParam
	for _, n := range p.Model() {
		params = append(params, optim.DeviceParam{Name: n.Name(), Shape: n.Shape(), Value: p.model.home.buffer(n.Name()), Grad: p.remote.Buffer(n.Deriv())})
	}
	if t.cfg.Accumulate > 1 {
		if err := r.makeMeans(params); err != nil {
			return errors.Wrap(err, "xlstm: means of gradients")
		}
	}
	s, ok := t.solver.(deviceSolver)
	if !ok {
		if t.cfg.Accumulate > 1 {
			return errors.Errorf("xlstm: a %T steps on the host, where gradients of several batches on %s cannot be accumulated; use optim.Adam or optim.AdamW", t.solver, r.device.Name())
		}
		return nil
	}
	var err error
	if r.solver, err = s.OnDevice(r.device, params); err != nil {
		return err
	}
	if r.update, err = device.Record(r.device, r.solver.Launches()); err != nil || r.means != nil {
		return err
	}
	var step []func() error
	for _, l := range r.solver.Launches() {
		step = append(step, l)
	}
	r.whole, err = p.remote.Then(step...)
	return err
}

// makeMeans gives every parameter a mean of its gradients, in place of the
// gradient.
func (r *remoteTrainer) makeMeans(params []optim.DeviceParam) (err error) {
	dt := params[0].Value.Dtype()
	if r.share, err = r.device.Alloc(dt, 1); err != nil {
		return err
	}
	op, grads := ops.MoveMean{}, []nodes.Buffer{r.share}
	for i := range params {
		m, err := r.device.Alloc(dt, params[i].Value.Len())
		if err != nil {
			return err
		}
		op.Sizes, grads, r.means = append(op.Sizes, m.Len()), append(grads, params[i].Grad), append(r.means, m)
		params[i].Grad = m
	}
	launch, err := r.device.Bind(op, r.means, append(grads, r.means...), nil)
	r.mean = launch
	return err
}

// add takes the gradients of the last run into the means, of which they are the
// given share.
func (r *remoteTrainer) add(share float64) error {
	if r.mean == nil {
		return nil
	}
	x := floats.Make(r.share.Dtype(), 1)
	x.Write([]float64{share})
	if err := r.device.Upload(r.share, x.Data()); err != nil {
		return err
	}
	return r.mean()
}

// stepRemote lets the solver step with the gradients of the last run, or with their
// means.
func (t *Trainer) stepRemote() error {
	r := t.remote
	if r.solver == nil {
		return t.stepOnHost()
	}
	if r.whole != nil {
		return r.solver.End() // the run was with the step
	}
	if err := r.solver.Begin(); err != nil {
		return err
	}
	if err := r.update(); err != nil {
		return err
	}
	return r.solver.End()
}

// stepOnHost copies gradients and parameters to the host and back.
func (t *Trainer) stepOnHost() error {
	if err := t.program.FetchGrads(); err != nil {
		return err
	}
	if err := t.model.Fetch(); err != nil {
		return err
	}
	if err := t.solver.Step(t.program.ValueGrads()); err != nil {
		return err
	}
	return t.model.Push()
}

// launch returns what a run of the batch enqueues: with the solver's step where
// that comes right behind it and something counts.
func (t *Trainer) launch(counted int) (func() error, error) {
	if t.remote == nil || t.remote.whole == nil || counted == 0 {
		return nil, nil
	}
	return t.remote.whole, t.remote.solver.Begin()
}

// fetch copies what the trainer has on a device to the host.
func (t *Trainer) fetch() error {
	if t.state != nil {
		if err := t.state.Fetch(); err != nil {
			return err
		}
	}
	if t.remote == nil || t.remote.solver == nil {
		return nil
	}
	return t.remote.solver.Fetch()
}

// push copies what was restored on the host to the device.
func (t *Trainer) push() error {
	if t.state != nil {
		if err := t.state.Push(); err != nil {
			return err
		}
	}
	if t.remote == nil || t.remote.solver == nil {
		return nil
	}
	return t.remote.solver.Push()
}

// close gives the memory of the moments back.
func (r *remoteTrainer) close() error {
	if r == nil || r.solver == nil {
		return nil
	}
	return r.solver.Close()
}
