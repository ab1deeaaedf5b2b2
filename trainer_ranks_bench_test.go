package xlstm_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/internal/bench"
	"github.com/gorgonia-xlstm/xlstm/optim"
)

// BenchmarkTrainingOnRanks times training steps of A and B that the ranks of a
// job share, if a launcher starts this program several times; docs/cluster.md has
// the command. All ranks must take the same number of steps: -test.benchtime 10x.
func BenchmarkTrainingOnRanks(b *testing.B) {
	group, err := dist.Open(context.Background(), dist.Config{}, func(s string) { fmt.Fprintln(os.Stderr, s) })
	if err != nil {
		b.Fatal(err)
	}
	for _, m := range bench.Models()[:2] {
		b.Run(m.Name, func(b *testing.B) {
			if err := trainOnRanks(b, m, group); err != nil {
				b.Fatal(err)
			}
		})
	}
	if err := group.Close(); err != nil {
		b.Fatal(err)
	}
}

// trainOnRanks times b.N steps after one more, and reports their median.
func trainOnRanks(b *testing.B, m bench.Model, group dist.Group) error {
	model, err := xlstm.New(m.Config(), xlstm.WithSeed(1))
	if err != nil {
		return err
	}
	solver, err := optim.NewAdamW(optim.AdamWConfig{WeightDecay: 0.1, Decays: optim.OfficialDecay(false)})
	if err != nil {
		return err
	}
	trainer, err := model.NewTrainer(solver, xlstm.TrainerConfig{Batch: m.Batch, Steps: m.Length, Group: group})
	if err != nil {
		return err
	}
	defer trainer.Close()
	batch := randomTokens(m, model.Config().VocabSize)
	times := make([]float64, 0, b.N)
	for i := range b.N + 1 {
		start := time.Now()
		if _, err := trainer.Step(func() data.Batch { return batch }); err != nil {
			return err
		}
		if i > 0 {
			times = append(times, time.Since(start).Seconds()*1000)
		}
	}
	slices.Sort(times)
	b.ReportMetric(times[len(times)/2], "median-ms")
	return nil
}

// randomTokens returns a batch for a model, the same on every rank.
func randomTokens(m bench.Model, vocabulary int) data.Batch {
	r := rand.New(rand.NewPCG(1, 2))
	n := m.Batch * m.Length
	batch := data.Batch{B: m.Batch, T: m.Length, Inputs: make([]int, n), Targets: make([]int, n), Fresh: true}
	for i := range n {
		batch.Inputs[i], batch.Targets[i] = r.IntN(vocabulary), r.IntN(vocabulary)
	}
	return batch
}
