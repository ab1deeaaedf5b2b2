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
	"github.com/gorgonia-xlstm/xlstm/optim"
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

func (s *summing) SumTo(parts []device.Part, weight device.Buffer) (device.Launch, error) {
	var launches []device.Launch
	for _, p := range parts {
		sum, err := s.SumAll([]device.Buffer{p.Buffer}, weight)
		if err != nil {
			return nil, err
		}
		launches = append(launches, func() error {
			err := sum()
			if p.Rank != s.job.Rank() {
				x := floats.Of(cpu.Elements(p.Buffer))
				x.Write(slices.Repeat([]float64{math.Inf(1)}, p.Len())) // undefined
			}
			return err
		})
	}
	return device.Record(&s.Device, launches)
}

func (s *summing) Gather(parts []device.Part) (device.Launch, error) {
	return func() error {
		for _, p := range parts {
			x := floats.Of(cpu.Elements(p.Buffer))
			if p.Rank != s.job.Rank() {
				x.Write(make([]float64, p.Len()))
			}
			if err := s.job.SumAll(x.Data()); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// rankCase is a training that ranks share.
type rankCase struct {
	device  bool // trains on a device
	shard   bool // divides the optimiser's state
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
		run.Group, run.Seed, run.ShardOptimizer = g, 5, c.shard
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
		for _, c.shard = range []bool{false, true} {
			if c.shard {
				name += ", sharded"
			}
			c.device = false
			t.Run(name, func(t *testing.T) { trainsAsOne(t, c) })
			c.device = true
			t.Run(name+", on a device", func(t *testing.T) { trainsAsOne(t, c) })
		}
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
		for _, c.device = range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, on a device: %v", name, c.device), func(t *testing.T) { continuesOnFewer(t, c) })
		}
	}
}

// continuesOnFewer trains on 4, 3, 2, 2 and 1 ranks, some of which divide the
// optimiser's state.
func continuesOnFewer(t *testing.T, c rankCase) {
	want, _ := c.train(t, 1, 0, 10, "", "")
	dir := t.TempDir()
	var losses []float64
	from := ""
	for k, ranks := range []int{4, 3, 2, 2, 1} {
		c.shard = k < 3 && k != 1
		to := filepath.Join(dir, fmt.Sprint(k))
		if err := os.Mkdir(to, 0o755); err != nil {
			t.Fatal(err)
		}
		l, _ := c.train(t, ranks, 2*k, 2, from, to)
		losses, from = append(losses, l...), to
	}
	testutil.Near(t, "losses and norms on 4, 3, 2, 2 and 1 ranks", losses, want, 1e-9)
}

// TestAShardedOptimiserIsDividedEvenly: each rank keeps its share of the moments, and
// no more.
func TestAShardedOptimiserIsDividedEvenly(t *testing.T) {
	for _, device := range []bool{false, true} {
		kept, params := make([]int, 3), 0
		onRanks(t, 3, func(g dist.Group) error {
			var opts []Option
			if device {
				opts = append(opts, WithDevice(&summing{job: g}))
			}
			m, err := New(smallConfig(), opts...)
			if err != nil {
				return err
			}
			tr := newTestTrainer(t, m, TrainerConfig{Batch: 3, Steps: 4, Group: g, ShardOptimizer: true})
			if _, err := tr.Step(rankCases["windows"].smaller(3).batches(t)); err != nil {
				return err
			}
			if err := tr.fetch(); err != nil {
				return err
			}
			for _, x := range tr.solver.State().Tensors {
				kept[g.Rank()] += x.Size()
			}
			if g.Rank() == 0 {
				params = m.NumParams()
			}
			return nil
		})
		total := 0
		for _, n := range kept {
			total += n
			if n < 2*params/3-4*shardUnit || n > 2*params/3+4*shardUnit {
				t.Errorf("a rank keeps %d of %d moments", n, 2*params)
			}
		}
		if total != 2*params {
			t.Errorf("%d moments are kept of %d parameters", total, params)
		}
	}
}

// TestSharesOfBuckets: every element belongs to one rank, in stretches that begin at
// multiples of shardUnit.
func TestSharesOfBuckets(t *testing.T) {
	sizes := []int{1000, 64, 1, bucketSize, 3 * bucketSize, 70, 130}
	for _, ranks := range []int{2, 3, 64} {
		seen := make([]int, len(sizes))
		for _, b := range bucketsOf(sizes, bucketSize) {
			at := make(map[int]int)
			for _, share := range sharesOf(b, sizes, ranks) {
				for _, st := range share {
					if st.from != at[st.param] || st.from%shardUnit != 0 || st.size() < 1 {
						t.Errorf("%d ranks: %v after %d elements", ranks, st, at[st.param])
					}
					at[st.param] = st.to
					seen[st.param] += st.size()
				}
			}
		}
		if !slices.Equal(seen, sizes) {
			t.Errorf("%d ranks: %v elements of %v", ranks, seen, sizes)
		}
	}
}

// TestBucketsOfDevices grow with the model, within limits.
func TestBucketsOfDevices(t *testing.T) {
	for total, want := range map[int]int{1000: bucketSize, 16 * bucketSize: 2 * bucketSize, 400 * bucketSize: deviceBucketSize} {
		if got := deviceBucket([]int{total - 10, 10}); got != want {
			t.Errorf("%d gradients: buckets of %d, want %d", total, got, want)
		}
	}
}

// TestRanksNameTheSameParameter: only one rank has the sum of a gradient that is not
// finite, and all say which it is.
func TestRanksNameTheSameParameter(t *testing.T) {
	onRanks(t, 3, func(g dist.Group) error {
		m, err := New(smallConfig())
		if err != nil {
			return err
		}
		tr := newTestTrainer(t, m, TrainerConfig{Batch: 3, Steps: 4, Group: g, ShardOptimizer: true})
		all := m.Params()
		err = tr.agreeOnParam(&optim.NonFiniteError{Param: []string{"", all[5].Name, all[3].Name}[g.Rank()]})
		var bad *optim.NonFiniteError
		if !errors.As(err, &bad) || bad.Param != all[3].Name {
			return errors.Errorf("the error is %v", err)
		}
		return nil
	})
}

func TestTooFewParametersToDivideAreRefused(t *testing.T) {
	onRanks(t, 3, func(g dist.Group) error {
		m, err := New(smallConfig())
		if err != nil {
			return err
		}
		keep := m.Params()[len(m.Params())-2].Name
		_, err = m.NewTrainer(nil, TrainerConfig{Batch: 3, Steps: 4, Group: g, ShardOptimizer: true, Frozen: func(name string) bool { return name != keep }})
		testutil.WantError(t, err, "3 ranks", "so few parameters")
		return nil
	})
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

// counting counts the bytes that a group broadcasts.
type counting struct {
	dist.Group
	bytes int
}

func (c *counting) Broadcast(b []byte, root int) error {
	c.bytes += len(b)
	return c.Group.Broadcast(b, root)
}

// TestEqualParametersAreNotSent, and different ones become those of rank 0.
func TestEqualParametersAreNotSent(t *testing.T) {
	for _, apart := range []bool{false, true} {
		weights := make([][]float64, 2)
		onRanks(t, 2, func(g dist.Group) error {
			seed := uint64(3)
			if apart {
				seed += uint64(g.Rank())
			}
			m, err := New(smallConfig(), WithSeed(seed))
			if err != nil {
				return err
			}
			c := &counting{Group: g}
			err = m.Share(c)
			if sent := c.bytes > 4*m.NumParams(); sent != apart {
				t.Errorf("%d bytes are sent for %d parameters, different: %v", c.bytes, m.NumParams(), apart)
			}
			weights[g.Rank()] = weightsOf(m)
			return err
		})
		if !slices.Equal(weights[0], weights[1]) {
			t.Errorf("the parameters differ")
		}
	}
}
