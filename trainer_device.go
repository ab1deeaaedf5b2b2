package xlstm

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
)

// deviceSolver is a Solver that can step on a device.
type deviceSolver interface {
	OnDevice(d device.Device, params []optim.DeviceParam, others *optim.Others) (*optim.OnDevice, error)
}

// remoteTrainer is what a Trainer of a model on a device has there. Where the
// solver is none of package optim's for devices, it steps on the host, and
// gradients and parameters are copied back and forth.
type remoteTrainer struct {
	device Device
	solver *optim.OnDevice // nil for one that steps on the host
	// whole is a run and the step after it in one, update the step alone; nil
	// without solver. mean takes the gradients of a run into the means; nil for one
	// batch a step. sums add up the gradients or means of all ranks, weighted.
	whole, update, mean func() error
	sums                []device.Launch
	share, weight       nodes.Buffer
	means               []nodes.Buffer
	// Of an optimiser whose state is divided over the ranks: what it needs of the
	// others, and the launch that copies the parameters from their ranks to all.
	others *optim.Others
	gather device.Launch
	copied map[string]bool // the parameters whose copies a step renews
}

// newRemoteTrainer prepares the trainer's program and solver for one another.
func (t *Trainer) newRemoteTrainer() error {
	r := &remoteTrainer{device: t.program.remote.device, copied: make(map[string]bool)}
	t.remote = r
	params := t.deviceParams()
	if t.cfg.Accumulate > 1 {
		if err := r.makeMeans(params); err != nil {
			return errors.Wrap(err, "xlstm: means of gradients")
		}
	}
	s, ok := t.solver.(deviceSolver)
	if !ok {
		if t.cfg.Accumulate > 1 || t.ranks != nil {
			return errors.Errorf("xlstm: a %T steps on the host, where gradients of several batches or ranks on %s cannot be combined; use optim.Adam or optim.AdamW", t.solver, r.device.Name())
		}
		return nil
	}
	if t.ranks != nil {
		if err := r.join(t.cfg.Group, params, t.shard); err != nil {
			return err
		}
	}
	if t.shard != nil {
		params = t.shard.deviceParams(params)
	}
	var err error
	if r.solver, err = s.OnDevice(r.device, params, r.others); err != nil {
		return err
	}
	return t.recordStep()
}

// deviceParams returns the trained parameters with their memory on the device, and
// notes those whose copies in bfloat16 a step of the solver renews.
func (t *Trainer) deviceParams() (params []optim.DeviceParam) {
	p := t.program
	for _, n := range p.Model() {
		name, home := n.Name(), p.model.home
		copied := home.copies[name].buffer
		t.remote.copied[name] = copied != nil
		params = append(params, optim.DeviceParam{Name: name, Shape: n.Shape(), Value: home.buffer(name), Grad: p.remote.Buffer(n.Deriv()), Copy: copied})
	}
	return params
}

// recordStep records what comes after a run: the sums over the ranks, the solver's
// step, and the sharing of the updated parameters. Without means of several batches it
// also records a run with all that behind it.
func (t *Trainer) recordStep() (err error) {
	r := t.remote
	launches := slices.Concat(r.sums, r.solver.Launches())
	if t.shard != nil {
		launches = append(launches, r.gather)
		for _, n := range t.program.Model() {
			if c, copied := t.model.home.copies[n.Name()]; copied {
				launches = append(launches, c.renew)
			}
		}
	}
	if r.update, err = device.Record(r.device, launches); err != nil || r.means != nil {
		return err
	}
	var step []func() error
	for _, l := range launches {
		step = append(step, l)
	}
	r.whole, err = t.program.remote.Then(step...)
	return err
}

// clear clears the means, in which nothing counts.
func (r *remoteTrainer) clear() error {
	for _, m := range r.means {
		if err := r.device.Zero(m); err != nil {
			return err
		}
	}
	return nil
}

// upload sets a buffer of one number.
func upload(d Device, to nodes.Buffer, v float64) error {
	x := floats.Make(to.Dtype(), 1)
	x.Write([]float64{v})
	return d.Upload(to, x.Data())
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
	if err := upload(r.device, r.share, share); err != nil {
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
	if r.whole == nil { // else the run was with the step
		if err := r.solver.Begin(); err != nil {
			return err
		}
		if err := r.update(); err != nil {
			return err
		}
	}
	if err := t.model.home.renewCopies(r.copied); err != nil {
		return err
	}
	return t.agreeOnParam(r.solver.End())
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

// close frees the memory of the trainer.
func (r *remoteTrainer) close() error {
	if r == nil {
		return nil
	}
	memory := append(slices.Clone(r.means), r.share, r.weight)
	if r.others != nil {
		memory = append(memory, r.others.Norms)
	}
	for _, b := range memory {
		if b == nil {
			continue
		}
		if err := r.device.Free(b); err != nil {
			return err
		}
	}
	if r.solver == nil {
		return nil
	}
	return r.solver.Close()
}
