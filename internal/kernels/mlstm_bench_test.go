package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// mlstmBenches are single sequences of usual lengths, and the cells of models in
// training.
var mlstmBenches = []struct {
	name         string
	b, t, nh, dh int
}{
	{"64x1024", 1, 1024, 4, 64},
	{"64x4096", 1, 4096, 4, 64},
	{"64x16384", 1, 16384, 4, 64},
	{"128x1024", 1, 1024, 4, 128},
	{"128x4096", 1, 4096, 4, 128},
	{"128x16384", 1, 16384, 4, 128},
	{"A", 16, 256, 4, 64},
	{"B", 8, 512, 4, 192},
	{"C1", 4, 1024, 4, 128},
}

// BenchmarkMLSTM reports the speed in terms of all products as if none of a
// triangle were left out.
func BenchmarkMLSTM(b *testing.B) {
	for _, bench := range mlstmBenches {
		s := MLSTM{B: bench.b, T: bench.t, NH: bench.nh, DQK: bench.dh, DHV: bench.dh, Chunk: 64, ScaleQ: 1, ScaleK: 0.125, Eps: 1e-6}
		b.Run(bench.name, func(b *testing.B) { benchmarkMLSTM(b, s) })
	}
}

func benchmarkMLSTM(b *testing.B, s MLSTM) {
	r := rand.New(rand.NewPCG(1, 2))
	rows, width := s.B*s.T*s.NH, s.DQK
	q, k, v, dh := normals32(r, rows*width, 0), normals32(r, rows*width, 0), normals32(r, rows*width, 0), normals32(r, rows*width, 0)
	i, f := normals32(r, rows, 0), normals32(r, rows, 3)
	h, last := make([]float32, rows*width), state32(s)
	grads := MLSTMGrads[float32]{
		Q: make([]float32, rows*width), K: make([]float32, rows*width), V: make([]float32, rows*width),
		I: make([]float32, rows), F: make([]float32, rows),
	}
	none := MLSTMState[float32]{}
	intra, inter := float64(rows*s.Chunk*width), float64(rows*width*width)
	for _, pass := range []struct {
		name  string
		flops float64
		run   func()
	}{
		{"forward", 2 * (2*intra + 2*inter), func() { MLSTMForward(s, q, k, v, i, f, none, h, last) }},
		{"backward", 2 * (5*intra + 5*inter), func() { MLSTMBackward(s, q, k, v, i, f, none, h, last, dh, none, grads) }},
	} {
		b.Run(pass.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pass.run()
			}
			b.ReportMetric(pass.flops*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
	}
}

// BenchmarkMLSTMStep is a step of decoding.
func BenchmarkMLSTMStep(b *testing.B) {
	for _, width := range []int{64, 128, 192} {
		s := MLSTM{B: 1, T: 1, NH: 4, DQK: width, DHV: width, ScaleQ: 1, ScaleK: 0.125, Eps: 1e-6}
		r := rand.New(rand.NewPCG(1, 2))
		x, g := normals32(r, s.NH*width, 0), normals32(r, s.NH, 0)
		h, state, next := make([]float32, s.NH*width), state32(s), state32(s)
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				MLSTMRecurrentForward(s, x, x, x, g, g, state, h, next)
			}
		})
	}
}

func normals32(r *rand.Rand, n int, shift float32) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64()) + shift
	}
	return x
}

func state32(s MLSTM) MLSTMState[float32] {
	heads := s.B * s.NH
	return MLSTMState[float32]{make([]float32, heads*s.size()), make([]float32, heads*s.DQK), make([]float32, heads)}
}
