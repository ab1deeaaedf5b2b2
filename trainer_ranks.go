package xlstm

import (
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// How many gradients ranks add up in one call: large enough that the bandwidth counts
// and not the latency, and small enough that most gradients travel during the backward
// pass. In float32 it is 4 MiB on CPUs. On devices, where sums take processors away
// from products and should be short, it is an eighth of the gradients, if that is
// between 4 and 32 MiB.
const (
	bucketSize       = 1 << 20
	deviceBucketSize = 8 << 20
)

// deviceBucket returns the size of buckets on devices, for parameters of the given
// sizes.
func deviceBucket(sizes []int) int {
	total := 0
	for _, n := range sizes {
		total += n
	}
	return min(max(total/8, bucketSize), deviceBucketSize)
}

// rowsOf returns the number of sequences per rank.
func rowsOf(cfg *TrainerConfig) (int, error) {
	if cfg.Group == nil {
		cfg.Group = dist.Alone()
	}
	n := cfg.Group.Size()
	if cfg.Batch%n != 0 {
		return 0, errors.Errorf("xlstm: a batch of %d sequences cannot be shared by %d ranks; take a multiple of %d", cfg.Batch, n, n)
	}
	return cfg.Batch / n, nil
}

// ranks is a trainer's part in a group: it adds up the gradients of all ranks.
// The means of a step, one after the other in one memory, form buckets. The sum of
// a bucket begins as soon as its last gradient is computed, while the backward
// pass computes those of earlier layers.
type ranks struct {
	group   dist.Group
	from    int // first sequence of this rank
	buckets []*bucket
	now     share
	overlap bool         // reports whether a run is a whole step, during which buckets are added up
	ready   chan *bucket // to the goroutine that adds up
	summed  bool         // reports whether the buckets have been added up in this step
	// On a device: the targets that count in this step, up to now, on this rank and
	// on all.
	mine, of int
}

// bucket is means of gradients that are added up over the ranks at once.
type bucket struct {
	means   any // []float32 or []float64
	size    int // number of gradients
	pending int // gradients that the current run has not computed
}

// newRanks makes the trainer one of several. The parameters become those of rank 0.
func (t *Trainer) newRanks() error {
	if err := t.model.Share(t.cfg.Group); err != nil {
		return err
	}
	t.ranks = &ranks{group: t.cfg.Group, overlap: t.cfg.Accumulate == 1, from: t.cfg.Group.Rank() * t.program.cfg.Batch}
	return nil
}

// divideGradients divides the gradients into buckets.
func (t *Trainer) divideGradients() error {
	params := t.program.Model()
	sizes := sizesOf(params)
	total := 0
	for _, n := range sizes {
		total += n
	}
	flat := floats.Of(tensor.New(tensor.Of(t.model.Dtype()), tensor.WithShape(total)).Data())
	at := 0
	t.means = make([]*meanGrad, len(params))
	for _, members := range bucketsOf(sizes, bucketSize) {
		b, begin := &bucket{size: len(members)}, at
		for _, i := range members {
			end := at + sizes[i]
			t.means[i] = newMeanGrad(params[i], tensor.New(tensor.WithShape(params[i].Shape()...), tensor.WithBacking(flat.Cut(at, end).Data())))
			if err := t.watchGradient(t.means[i], b); err != nil {
				return err
			}
			at = end
		}
		b.means = flat.Cut(begin, at).Data()
		t.ranks.buckets = append(t.ranks.buckets, b)
	}
	return nil
}

// watchGradient takes a gradient into its mean as soon as a run has computed it. A
// tape machine computes everything first.
func (t *Trainer) watchGradient(m *meanGrad, b *bucket) error {
	s, ok := t.program.machine.(*nodes.Sequence)
	if !ok {
		return nil
	}
	return s.OnResult(m.Deriv(), func(g gorgonia.Value) { t.ranks.take(m, g, b) })
}

// take takes a gradient of the current run into its mean, and sends off the bucket
// if it is complete.
func (r *ranks) take(m *meanGrad, g gorgonia.Value, b *bucket) {
	if r.now.of == 0 {
		return
	}
	m.add(g, r.now)
	if b.pending--; b.pending == 0 && r.overlap {
		r.ready <- b
	}
}

// passRanks runs this rank's rows of a batch, and returns the loss of the batch.
func (t *Trainer) passRanks(in Input, whole data.Batch, s *share) (float64, error) {
	r := t.ranks
	mine := whole.Rows(r.from, r.from+t.program.cfg.Batch)
	in.Dropout.Row = r.from * whole.T
	counted := mine.Counted()
	if s.of > 0 {
		s.weight = float64(counted) / float64(whole.Counted())
	}
	if t.remote != nil {
		return t.passRemote(in, mine, whole.Counted(), s.first)
	}
	r.now, r.summed = *s, r.overlap && s.of > 0
	for _, b := range r.buckets {
		b.pending = b.size
	}
	r.ready = make(chan *bucket, len(r.buckets))
	done := make(chan error, 1)
	go func() { done <- r.sum(r.ready) }()
	loss, err := t.passRows(in, mine, counted)
	if _, sequence := t.program.machine.(*nodes.Sequence); !sequence && err == nil {
		err = t.takeAll()
	}
	close(r.ready)
	if err != nil {
		return 0, err // without the other ranks, which cannot go on
	}
	if err := <-done; err != nil {
		return 0, err
	}
	return r.meanLoss(loss, s.weight)
}

// meanLoss returns the sum of the ranks' losses, each times its weight. The loss of
// a rank without weight is not defined.
func (r *ranks) meanLoss(loss, weight float64) (float64, error) {
	total := []float64{0}
	if weight > 0 {
		total[0] = loss * weight
	}
	err := r.group.SumAll(total)
	return total[0], err
}

// passRemote is passRanks on a device, which adds up the gradients by itself: after
// the run, or after that of a step's last batch. Until then this rank takes the mean
// over its own targets. first reports whether no earlier batch of the step counts.
func (t *Trainer) passRemote(in Input, rows data.Batch, counted int, first bool) (float64, error) {
	r := t.ranks
	if first {
		r.mine, r.of = 0, 0
	}
	weight := 0.0
	if counted > 0 {
		weight = float64(rows.Counted()) / float64(counted)
	}
	r.mine, r.of = r.mine+rows.Counted(), r.of+counted
	if r.of > 0 {
		if err := t.remote.setWeight(float64(r.mine) / float64(r.of)); err != nil {
			return 0, err
		}
	}
	loss, err := t.passRows(in, rows, counted)
	if err != nil {
		return 0, err
	}
	if rows.Counted() > 0 {
		if err := t.remote.add(float64(rows.Counted()) / float64(r.mine)); err != nil {
			return 0, err
		}
	} else if r.mine == 0 {
		if err := t.remote.clear(); err != nil {
			return 0, err
		}
	}
	return r.meanLoss(loss, weight)
}

// takeAll takes all gradients of a run into their means.
func (t *Trainer) takeAll() error {
	i := len(t.means)
	for _, b := range t.ranks.buckets {
		for range b.size {
			i--
			g, err := t.means[i].Node.Grad()
			if err != nil {
				return err
			}
			t.ranks.take(t.means[i], g, b)
		}
	}
	return nil
}

// sum adds up buckets until there are no more.
func (r *ranks) sum(ready <-chan *bucket) error {
	for b := range ready {
		if err := r.group.SumAll(b.means); err != nil {
			return err
		}
	}
	return nil
}

// sumRest adds up all buckets unless that has been done during the run.
func (r *ranks) sumRest() error {
	if r.summed {
		return nil
	}
	all := make(chan *bucket, len(r.buckets))
	for _, b := range r.buckets {
		all <- b
	}
	close(all)
	return r.sum(all)
}
