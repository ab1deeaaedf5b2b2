package xlstm

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// meeting connects ranks that are goroutines.
type meeting struct {
	mu      sync.Mutex
	arrived sync.Cond
	size, n int
	round   int
	slots   []any
	last    []any
}

func newMeeting(size int) *meeting {
	m := &meeting{size: size, slots: make([]any, size)}
	m.arrived.L = &m.mu
	return m
}

// exchange returns what all ranks brought.
func (m *meeting) exchange(rank int, x any) []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	round := m.round
	m.slots[rank] = x
	if m.n++; m.n == m.size {
		m.last, m.slots, m.n = m.slots, make([]any, m.size), 0
		m.round++
		m.arrived.Broadcast()
	}
	for m.round == round {
		m.arrived.Wait()
	}
	return m.last
}

// seat is a rank's place in a meeting, a dist.Group.
type seat struct {
	*meeting
	rank int
}

func (s seat) Rank() int { return s.rank }

func (s seat) Size() int { return s.size }

func (s seat) SumAll(x any) error {
	switch x := x.(type) {
	case []float32:
		addUp(s, x)
	case []float64:
		addUp(s, x)
	default:
		return errors.Errorf("a sum of %T", x)
	}
	return nil
}

func addUp[F float32 | float64](s seat, x []F) {
	all := s.exchange(s.rank, slices.Clone(x))
	clear(x)
	for _, of := range all {
		for i, v := range of.([]F) {
			x[i] += v
		}
	}
}

func (s seat) Broadcast(b []byte, root int) error {
	copy(b, s.exchange(s.rank, slices.Clone(b))[root].([]byte))
	return nil
}

func (s seat) Barrier() error { s.exchange(s.rank, nil); return nil }

func (s seat) Close() error { return nil }

// onRanks calls f on so many ranks at once.
func onRanks(t *testing.T, n int, f func(g dist.Group) error) {
	t.Helper()
	m := newMeeting(n)
	errs := make([]error, n)
	var all sync.WaitGroup
	for rank := range n {
		all.Go(func() { errs[rank] = f(seat{m, rank}) })
	}
	all.Wait()
	for rank, err := range errs {
		if err != nil {
			t.Fatalf("rank %d of %d: %v", rank, n, err)
		}
	}
}

// summing is a device, here the CPU, that adds up with those of other ranks.
type summing struct {
	cpu.Device
	job dist.Group
}

func (s *summing) NewJob() ([]byte, error) { return []byte("job"), nil }

func (s *summing) Join(job []byte, rank, size int) error {
	if string(job) != "job" || rank != s.job.Rank() || size != s.job.Size() {
		return errors.Errorf("rank %d of %d joined %q", rank, size, job)
	}
	return nil
}

func (s *summing) SumAll(xs []device.Buffer, weight device.Buffer) (device.Launch, error) {
	return func() error {
		w := floats.Of(cpu.Elements(weight)).At(0)
		for _, x := range xs {
			of := floats.Of(cpu.Elements(x))
			of.Blend(0, of, w)
			if err := s.job.SumAll(of.Data()); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// rankCase is a training that ranks share.
type rankCase struct {
	device  bool // trains on a device
	cfg     TrainerConfig
	dropout float64
	uneven  bool // ignores all targets of the last third of the sequences
}

func (c rankCase) batches(t *testing.T) func() data.Batch {
	s := streams(t, c.cfg.Batch, c.cfg.Steps)
	return func() data.Batch {
		b := s.Next()
		if c.uneven {
			for i := range b.Targets[:] {
				if i >= len(b.Targets)*2/3 || i%3 == 0 {
					b.Targets[i] = data.Ignore
				}
			}
		}
		if c.cfg.WithResets {
			b = b.MarkStarts(3)
		}
		return b
	}
}

// train trains from a checkpoint, or from the start if from is empty, for so many
// steps, saves if to is not empty, and returns the losses and the weights.
func (c rankCase) train(t *testing.T, ranks, before, steps int, from, to string) (losses, weights []float64) {
	t.Helper()
	onRanks(t, ranks, func(g dist.Group) error {
		cfg := smallConfig()
		cfg.Dropout = c.dropout
		opts := []Option{WithDtype(tensor.Float64), WithSeed(uint64(3 + g.Rank()))} // the ranks begin apart
		if c.device {
			opts = append(opts, WithDevice(&summing{job: g}))
		}
		m, err := New(cfg, opts...)
		if err != nil {
			return err
		}
		run := c.cfg
		run.Group, run.Seed = g, 5
		tr := newTestTrainer(t, m, run)
		if from != "" {
			if _, err := tr.Restore(from); err != nil {
				return err
			}
		}
		next := c.batches(t)
		for range before * max(1, c.cfg.Accumulate) {
			next()
		}
		for range steps {
			rep, err := tr.Step(next)
			if err != nil {
				return err
			}
			if g.Rank() == 0 {
				losses = append(losses, rep.Loss, rep.GradNorm)
			}
		}
		if g.Rank() == 0 {
			if err := m.Fetch(); err != nil {
				return err
			}
			weights = weightsOf(m)
		}
		if to != "" {
			return tr.Save(to, nil)
		}
		return nil
	})
	return losses, weights
}

var rankCases = map[string]rankCase{
	"windows":                   {cfg: TrainerConfig{Batch: 12, Steps: 4}},
	"dropout":                   {cfg: TrainerConfig{Batch: 12, Steps: 4}, dropout: 0.3},
	"carried state, resets":     {cfg: TrainerConfig{Batch: 12, Steps: 4, Carry: true, WithResets: true}},
	"targets that do not count": {cfg: TrainerConfig{Batch: 12, Steps: 4}, uneven: true},
	"several batches a step":    {cfg: TrainerConfig{Batch: 12, Steps: 4, Accumulate: 2, Carry: true}, dropout: 0.2, uneven: true},
}

func TestRanksTrainAsOne(t *testing.T) {
	for name, c := range rankCases {
		t.Run(name, func(t *testing.T) { trainsAsOne(t, c) })
		c.device = true
		t.Run(name+", on a device", func(t *testing.T) { trainsAsOne(t, c) })
	}
}

func trainsAsOne(t *testing.T, c rankCase) {
	wantLosses, wantWeights := c.train(t, 1, 0, 4, "", "")
	for _, ranks := range []int{2, 3, 4} {
		losses, weights := c.train(t, ranks, 0, 4, "", "")
		testutil.Near(t, fmt.Sprintf("losses and norms of %d ranks", ranks), losses, wantLosses, 1e-9)
		if d := golden.Apart(weights, wantWeights, 0); d > 1e-7 {
			t.Errorf("weights of %d ranks are %.3g away", ranks, d)
		}
		again, sameWeights := c.train(t, ranks, 0, 4, "", "")
		if !slices.Equal(losses, again) || !slices.Equal(weights, sameWeights) {
			t.Errorf("%d ranks give other bits the second time", ranks)
		}
	}
}

func TestCheckpointsDoNotDependOnTheNumberOfRanks(t *testing.T) {
	for name, c := range rankCases {
		t.Run(name, func(t *testing.T) {
			want, _ := c.train(t, 1, 0, 6, "", "")
			dir := t.TempDir()
			at := 0
			var losses []float64
			from := ""
			for _, ranks := range []int{4, 2, 1} {
				to := filepath.Join(dir, fmt.Sprint(ranks))
				if err := os.Mkdir(to, 0o755); err != nil {
					t.Fatal(err)
				}
				l, _ := c.train(t, ranks, at, 2, from, to)
				losses, at, from = append(losses, l...), at+2, to
			}
			testutil.Near(t, "losses and norms on 4, 2 and 1 ranks", losses, want, 1e-9)
		})
	}
}

// TestRanksRefuseAStepTogether: a loss that is not finite on one rank stops all of
// them, and leaves their weights equal.
func TestRanksRefuseAStepTogether(t *testing.T) {
	weights := make([][]float64, 3)
	onRanks(t, 3, func(g dist.Group) error {
		m, err := New(smallConfig(), WithDtype(tensor.Float64))
		if err != nil {
			return err
		}
		tr := newTestTrainer(t, m, TrainerConfig{Batch: 3, Steps: 4, Group: g})
		if g.Rank() == 1 {
			m.Params()[0].Value.Memset(math.NaN())
		}
		_, err = tr.Step(rankCases["windows"].smaller(3).batches(t))
		weights[g.Rank()] = weightsOf(m)
		var bad *NonFiniteError
		if !errors.As(err, &bad) {
			return errors.Errorf("the step's error is %v", err)
		}
		return nil
	})
	if !slices.Equal(weights[0], weights[2]) {
		t.Error("ranks 0 and 2 differ")
	}
}

func (c rankCase) smaller(batch int) rankCase {
	c.cfg.Batch = batch
	return c
}

func TestABatchThatRanksCannotShareIsRefused(t *testing.T) {
	onRanks(t, 3, func(g dist.Group) error {
		m, err := New(smallConfig())
		if err != nil {
			return err
		}
		_, err = m.NewTrainer(nil, TrainerConfig{Batch: 4, Steps: 4, Group: g})
		testutil.WantError(t, err, "4 sequences", "3 ranks")
		return nil
	})
}
