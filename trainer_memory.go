package xlstm

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/pkg/errors"
)

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
