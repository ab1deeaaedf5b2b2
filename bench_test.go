package xlstm_test

import (
	"fmt"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/bench"
)

// BenchmarkTraining times training steps, optimiser included. C64 needs many
// gigabytes of memory.
func BenchmarkTraining(b *testing.B) {
	for _, m := range bench.Models() {
		b.Run(m.Name, func(b *testing.B) {
			if testing.Short() && m.Length > 4096 {
				b.Skip("a step takes many seconds")
			}
			benchmark(b, m.Training())
		})
	}
}

// BenchmarkGenerate times single tokens, drawn and read.
func BenchmarkGenerate(b *testing.B) {
	for _, m := range bench.Writers() {
		for _, format := range []xlstm.WeightFormat{xlstm.WeightsFloat32, xlstm.WeightsBF16, xlstm.WeightsInt8, xlstm.WeightsInt4} {
			b.Run(m.Name+"/"+string(format), func(b *testing.B) { benchmark(b, m.Generation(format)) })
		}
	}
}

// BenchmarkGenerateBatch times single tokens of several texts at once.
func BenchmarkGenerateBatch(b *testing.B) {
	for _, m := range bench.Writers() {
		for _, n := range []int{1, 2, 4, 8, 16, 32} {
			b.Run(fmt.Sprintf("%s/%d", m.Name, n), func(b *testing.B) { generateBatch(b, m, n) })
		}
	}
}

func generateBatch(b *testing.B, w bench.Model, n int) {
	model, err := xlstm.New(w.Config())
	if err != nil {
		b.Fatal(err)
	}
	g, err := model.NewBatchGenerator(n)
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	tokens := make([]int, n)
	for b.Loop() {
		if err := g.Step(tokens); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "tok/s")
}

// benchmark times a workload after a step to warm up, which makes all buffers.
func benchmark(b *testing.B, w bench.Workload) {
	task, err := w.Prepare()
	if err != nil {
		b.Fatal(err)
	}
	defer task.Close()
	if err := task.Step(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := task.Step(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(w.Tokens()*b.N)/b.Elapsed().Seconds(), "tok/s")
}
