package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/optim"
)

// rankCase is how the ranks of a job train a model.
type rankCase struct {
	name    string
	alone   bool // each by itself, at the same time
	factor  int  // times the model's batch is that of the job
	sharded bool // the optimiser's state is divided
}

// rankCases are those of a job of so many ranks.
func rankCases(ranks int) []rankCase {
	cases := []rankCase{{name: "alone", alone: true, factor: 1}, {name: "alone, twice the batch", alone: true, factor: 2}}
	if ranks > 1 {
		cases = append(cases, rankCase{name: "weak", factor: ranks}, rankCase{name: "weak, twice the batch", factor: 2 * ranks},
			rankCase{name: "strong", factor: 1}, rankCase{name: "sharded", factor: ranks, sharded: true})
	}
	return cases
}

// BenchmarkTrainingOnRanks times training steps of A, B and, on GPUs, the large model,
// if a launcher starts this program once for each rank; docs/cluster.md and docs/gpu.md
// have the commands. XLSTM_DEVICE and XLSTM_PRECISION say where. All ranks must take
// the same number of steps: -test.benchtime 10x.
func BenchmarkTrainingOnRanks(b *testing.B) {
	group, err := dist.Open(context.Background(), dist.Config{}, func(s string) { fmt.Fprintln(os.Stderr, s) })
	if err != nil {
		b.Fatal(err)
	}
	models, device := Models()[:2], openForRank(b)
	if device != nil {
		models = append(models, large())
	}
	for _, m := range models {
		b.Run(m.Name, func(b *testing.B) {
			model, err := xlstm.New(m.Config(), xlstm.WithSeed(1), xlstm.WithDevice(device))
			if err != nil {
				b.Fatal(err)
			}
			for _, c := range rankCases(group.Size()) {
				b.Run(c.name, func(b *testing.B) { trainOnRanks(b, m, model, c, group) })
			}
		})
	}
	if err := group.Close(); err != nil {
		b.Fatal(err)
	}
}

// openForRank opens this rank's GPU, if XLSTM_DEVICE is cuda.
func openForRank(b *testing.B) xlstm.Device {
	name := os.Getenv("XLSTM_DEVICE")
	if name == "" {
		return nil
	}
	d, err := xlstm.OpenDevice(fmt.Sprintf("%s:%d", name, dist.LocalRank()), xlstm.Precision(os.Getenv("XLSTM_PRECISION")))
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// trainOnRanks reports the median of the times of steps, after two that are not
// counted, and the tokens that all ranks of the case read in a second.
func trainOnRanks(b *testing.B, m Model, model *xlstm.Model, c rankCase, group dist.Group) {
	solver, err := optim.NewAdamW(optim.AdamWConfig{WeightDecay: 0.1, ClipNorm: 1, Decays: optim.OfficialDecay(false)})
	if err != nil {
		b.Fatal(err)
	}
	cfg := xlstm.TrainerConfig{Batch: m.Batch * c.factor, Steps: m.Length, Group: group, ShardOptimizer: c.sharded}
	if c.alone {
		cfg.Group = nil
	} else if cfg.Batch%group.Size() != 0 {
		b.Skipf("a batch of %d cannot be shared by %d ranks", cfg.Batch, group.Size())
	}
	trainer, err := model.NewTrainer(solver, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer trainer.Close()
	batch := randomBatch(cfg.Batch, cfg.Steps, m.vocab())
	step := func() {
		if _, err := trainer.Step(func() data.Batch { return batch }); err != nil {
			b.Fatal(err)
		}
	}
	step()
	step()
	var times []float64
	for b.Loop() {
		start := time.Now()
		step()
		times = append(times, time.Since(start).Seconds())
	}
	slices.Sort(times)
	median := times[len(times)/2]
	b.ReportMetric(1000*median, "median-ms")
	b.ReportMetric(float64(cfg.Batch*cfg.Steps)/median, "tokens/s")
}
