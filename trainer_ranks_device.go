package xlstm

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
)

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

// setWeight sets the weight of this rank's gradients in the sums.
func (r *remoteTrainer) setWeight(w float64) error {
	return upload(r.device, r.weight, w)
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
