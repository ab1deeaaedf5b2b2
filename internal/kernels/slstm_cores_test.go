package kernels

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// TestScanGivesTheSameBitsOnAnyNumberOfCores: how many sequences a core scans
// together makes no difference.
func TestScanGivesTheSameBitsOnAnyNumberOfCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	s := SLSTM{B: 13, T: 21, NH: 2, DH: 40, Clip: math.Inf(1)}
	r := rand.New(rand.NewPCG(5, 6))
	draw := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	d := s.NH * s.DH
	n := s.B * s.T * d
	x, rec, bias, dy := [4][]float32{draw(n), draw(n), draw(n), draw(n)}, draw(4*d*s.DH), draw(4*d), draw(n)
	run := func() [][]float32 {
		y, state, tape := make([]float32, n), make([]float32, 4*s.B*d), SLSTMTapeOf(s, make([]float32, s.TapeSize()))
		SLSTMForward(s, x, rec, bias, nil, y, state, tape)
		g := SLSTMGrads[float32]{R: make([]float32, len(rec)), Bias: make([]float32, len(bias))}
		for k := range g.X {
			g.X[k] = make([]float32, n)
		}
		SLSTMBackward(s, rec, nil, y, state, tape, dy, nil, g)
		return [][]float32{y, state, g.X[0], g.X[1], g.X[2], g.X[3], g.R, g.Bias}
	}
	runtime.GOMAXPROCS(1)
	want := run()
	for procs, rows := range map[int]int{4: 8, 8: 4, 14: 2, 15: 1} {
		runtime.GOMAXPROCS(procs)
		if got := s.rows(); got != rows {
			t.Errorf("%d cores scan %d sequences together, want %d", procs, got, rows)
		}
		for k, got := range run() {
			if !slices.Equal(got, want[k]) {
				t.Errorf("%d cores: result %d differs", procs, k)
			}
		}
	}
}

// TestMappedScanGivesTheSameBitsOnAnyNumberOfCores is the same of a scan with maps, of
// several blocks of steps, and of parts of the gradients of weights of different numbers of
// sequences.
func TestMappedScanGivesTheSameBitsOnAnyNumberOfCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, c := range []struct{ heads, together int }{{2, 1}, {4, 4}} {
		s := SLSTM{B: 13, T: 100, NH: c.heads, DH: 40, Clip: math.Inf(1)}
		if got := s.mappedTogether(); got != c.together {
			t.Errorf("%d sequences make a part, want %d", got, c.together)
		}
		if blocks, _ := s.mappedBlocks(); blocks < 2 {
			t.Fatalf("%d blocks", blocks)
		}
		r := rand.New(rand.NewPCG(7, 8))
		draw := func(n int) []float32 {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(r.NormFloat64()) / 4
			}
			return x
		}
		d := s.NH * s.DH
		n, size := s.B*s.T*d, d*s.DH
		m := SLSTMMaps[float32]{C: draw(n), X: draw(n), W: [4][]float32{draw(size), draw(size), draw(size), draw(size)}}
		rec, bias, dy := draw(4*size), draw(4*d), draw(n)
		run := func() [][]float32 {
			y, state, tape := make([]float32, n), make([]float32, 4*s.B*d), SLSTMTapeOf(s, make([]float32, s.TapeSize()))
			SLSTMMappedForward(s, m, rec, bias, nil, y, state, tape)
			g := SLSTMMappedGrads[float32]{C: make([]float32, n), X: make([]float32, n), R: make([]float32, 4*size), Bias: make([]float32, 4*d)}
			for k := range g.W {
				g.W[k] = make([]float32, size)
			}
			SLSTMMappedBackward(s, m, rec, nil, y, state, tape, dy, nil, g)
			return [][]float32{y, state, g.C, g.X, g.W[0], g.W[1], g.W[2], g.W[3], g.R, g.Bias}
		}
		runtime.GOMAXPROCS(1)
		want := run()
		for _, procs := range []int{2, 8, 16, 40} {
			runtime.GOMAXPROCS(procs)
			for k, got := range run() {
				if !slices.Equal(got, want[k]) {
					t.Errorf("%d heads, %d cores: result %d differs", c.heads, procs, k)
				}
			}
		}
	}
}
