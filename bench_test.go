package xlstm

import (
	"math/rand/v2"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/optim"
)

// BenchmarkTrainingStep trains a model of width 128 with 4 blocks, the second of
// them an sLSTM block, on 16 windows of 256 characters a step, optimiser
// included.
func BenchmarkTrainingStep(b *testing.B) {
	cfg := DefaultConfig()
	cfg.VocabSize, cfg.NumBlocks, cfg.SLSTMAt = 65, 4, Blocks(1)
	m, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	const batch, steps = 16, 256
	p := compileProgram(b, m, ProgramConfig{Batch: batch, Steps: steps, Grad: true})
	solver, err := optim.NewAdamW(optim.AdamWConfig{WeightDecay: 0.1, Decays: optim.OfficialDecay(false)})
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	x, y := make([]int, batch*steps), make([]int, batch*steps)
	for i := range x {
		x[i], y[i] = r.IntN(65), r.IntN(65)
	}
	b.ReportAllocs()
	for b.Loop() {
		runProgram(b, p, x, y, nil)
		if err := solver.Step(p.ValueGrads()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(batch*steps*b.N)/b.Elapsed().Seconds(), "tok/s")
}
