package xlstm

import (
	"fmt"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/dist"
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
	p := t.program
	r := &remoteTrainer{device: p.remote.device, copied: make(map[string]bool)}
	t.remote = r
	var params []optim.DeviceParam
	for _, n := range p.Model() {
		name, home := n.Name(), p.model.home
		r.copied[name] = home.copies[name].buffer != nil
		params = append(params, optim.DeviceParam{Name: name, Shape: n.Shape(), Value: home.buffer(name), Grad: p.remote.Buffer(n.Deriv()), Copy: home.copies[name].buffer})
	}
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
	var after []device.Launch
	if t.shard != nil {
		after = append(after, r.gather)
		for _, n := range p.Model() {
			if c, copied := p.model.home.copies[n.Name()]; copied {
				after = append(after, c.renew)
			}
		}
		params = t.shard.deviceParams(params)
	}
	var err error
	if r.solver, err = s.OnDevice(r.device, params, r.others); err != nil {
		return err
	}
	launches := slices.Concat(r.sums, r.solver.Launches(), after)
	if r.update, err = device.Record(r.device, launches); err != nil || r.means != nil {
		return err
	}
	var step []func() error
	for _, l := range launches {
		step = append(step, l)
	}
	r.whole, err = p.remote.Then(step...)
	return err
}

// join connects the device to those of the other ranks and prepares the sums of
// gradients in buckets: the sum of a bucket needs only its gradients, so that a
// device can compute others meanwhile.
func (r *remoteTrainer) join(g dist.Group, params []optim.DeviceParam, s *shard) error {
	c, ok := r.device.(device.Collective)
	if !ok {
		return errors.Errorf("xlstm: several ranks cannot train on %s, which cannot add up gradients with others", r.device.Name())
	}
	var id []byte
	var err error
	if g.Rank() == 0 {
		if id, err = c.NewJob(); err != nil {
			return err
		}
	}
	if id, err = dist.Share(g, id, 0); err != nil {
		return err
	}
	if err := c.Join(id, g.Rank(), g.Size()); err != nil {
		return err
	}
	if r.weight, err = r.device.Alloc(params[0].Value.Dtype(), 1); err != nil {
		return err
	}
	if s != nil {
		err = r.divide(c, params, s)
	} else {
		err = r.sumWhole(c, params)
	}
	if err != nil {
		return err
	}
	return r.connect()
}

// sumWhole prepares sums that every rank gets.
func (r *remoteTrainer) sumWhole(c device.Collective, params []optim.DeviceParam) error {
	var sizes []int
	for _, p := range params {
		sizes = append(sizes, p.Grad.Len())
	}
	for _, members := range bucketsOf(sizes, deviceBucket(sizes)) {
		var grads []nodes.Buffer
		for _, i := range members {
			grads = append(grads, params[i].Grad)
		}
		sum, err := c.SumAll(grads, r.weight)
		if err != nil {
			return err
		}
		r.sums = append(r.sums, sum)
	}
	return nil
}

// connect makes every exchange once, of memory in which nothing counts yet: NCCL
// establishes connections when they are first needed, which cannot be recorded.
func (r *remoteTrainer) connect() error {
	if err := r.setWeight(0); err != nil {
		return err
	}
	all := slices.Clone(r.sums)
	if r.others != nil {
		all = append(all, r.others.Gather, r.gather)
	}
	for _, exchange := range all {
		if err := exchange(); err != nil {
			return err
		}
	}
	return errors.Wrap(r.device.Sync(), "xlstm: the first sum over all ranks")
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

// setWeight sets the weight of this rank's gradients in the sums.
func (r *remoteTrainer) setWeight(w float64) error {
	return upload(r.device, r.weight, w)
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

// agreeOnParam lets all ranks name the same parameter in the error of a step whose
// gradients are not finite: each has seen its own share of them.
func (t *Trainer) agreeOnParam(err error) error {
	var bad *optim.NonFiniteError
	if t.shard == nil || !errors.As(err, &bad) {
		return err
	}
	name, failed := t.shard.first(bad.Param)
	if failed != nil {
		return failed
	}
	bad.Param = name
	return err
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

// explain returns the error of a trainer for which a device has not enough memory.
func (m *Model) explain(full *device.MemoryError, cfg TrainerConfig) error {
	const gib = 1 << 30
	ranks := 1
	if cfg.Group != nil {
		ranks = cfg.Group.Size()
	}
	cfg.Batch /= ranks
	opts := CostOptions{Batch: cfg.Batch, Steps: cfg.Steps, Device: m.home.device}
	if cfg.ShardOptimizer {
		opts.Shards = ranks
	}
	cost, err := m.cfg.Cost(opts)
	if err != nil {
		return errors.Wrap(err, full.Error())
	}
	need := cost.TrainingMemory()
	says := fmt.Sprintf("xlstm: training on %d × %d tokens needs %.2f GiB on %s, of which the activations are %.2f GiB; it has %.2f GiB",
		cfg.Batch, cfg.Steps, float64(need.Total())/gib, full.Device, float64(need.Activations)/gib, float64(full.Total)/gib)
	if ranks > 1 {
		says = fmt.Sprintf("rank %d of %d: %s", cfg.Group.Rank(), ranks, says)
	}
	room := full.Total
	if cfg.Accumulate > 1 {
		room -= need.Gradients // there are means of them too
	}
	switch batch, err := m.cfg.LargestBatch(opts, room); {
	case err != nil:
		return errors.Wrap(err, says)
	case batch == 0:
		return errors.Errorf("%s, too little for a single sequence: take fewer tokens or a smaller model", says)
	case batch >= cfg.Batch:
		return errors.Errorf("%s, of which %.2f GiB were free: something else is in its memory", says, float64(full.Free)/gib)
	default:
		return errors.Errorf("%s: a batch of %d would fit, with gradients of several batches accumulated if need be", says, batch*ranks)
	}
}
