package kernels

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// rounded rounds the inputs to float32, so that both precisions have the same.
func (c mlstmCase) rounded() {
	for _, x := range [][]float64{c.q, c.k, c.v, c.i, c.f, c.state.C, c.state.N, c.state.M, c.dh, c.dLast.C, c.dLast.N, c.dLast.M} {
		for i := range x {
			x[i] = float64(float32(x[i]))
		}
	}
}

func (c mlstmCase) runSingle(recurrent bool) mlstmResult[float32] {
	return runMLSTM[float32](c, recurrent)
}

// TestMLSTMInSinglePrecision: the less is forgotten and the wilder the input gates,
// the longer are the sums that cancel in the normaliser.
func TestMLSTMInSinglePrecision(t *testing.T) {
	for _, gates := range []struct{ scale, forget, tol float64 }{{1, 0, 5e-6}, {1, 3, 2e-5}, {0.5, 8, 2e-4}, {8, 1, 5e-4}} {
		for _, chunk := range []int{1, 50, 64} {
			s := MLSTM{B: 1, T: 300, NH: 2, DQK: 32, DHV: 48, Chunk: chunk, ScaleQ: 1, ScaleK: 1 / math.Sqrt(32), Eps: 1e-6}
			c := newMLSTMCase(7, s, gates.scale, true)
			for i := range c.f {
				c.f[i] += gates.forget - 1
			}
			c.rounded()
			for _, recurrent := range []bool{false, true} {
				got, want := c.runSingle(recurrent).all(), c.run(recurrent).all()
				for name := range want {
					if d := apart(got[name], want[name]); d > gates.tol {
						t.Errorf("gates %+v, chunk %d, recurrent %v: %s is %.3g away from float64", gates, chunk, recurrent, name, d)
					}
				}
			}
		}
	}
}

// TestMLSTMAtTheEndsOfSinglePrecision: masks of any size are masks, and gates whose
// sums overflow a float32 leave nothing that is not a number.
func TestMLSTMAtTheEndsOfSinglePrecision(t *testing.T) {
	masks := []float64{-math.MaxFloat32, math.Inf(-1), -1e20}
	ends := append(masks, math.MaxFloat32, 1e20)
	for seed := range uint64(20) {
		s := MLSTM{B: 1, T: 40, NH: 2, DQK: 3, DHV: 5, Chunk: 16, ScaleQ: 1, ScaleK: 1, Eps: 1e-6}
		masked, wild := newMLSTMCase(seed, s, 2, false), newMLSTMCase(seed, s, 2, false)
		r := rand.New(rand.NewPCG(seed, 3))
		for i := range masked.i {
			if r.IntN(8) == 0 {
				masked.i[i], wild.i[i] = masks[r.IntN(len(masks))], ends[r.IntN(len(ends))]
			}
			if r.IntN(8) == 0 {
				masked.f[i], wild.f[i] = masks[r.IntN(len(masks))], ends[r.IntN(len(ends))]
			}
		}
		masked.rounded()
		wild.rounded()
		got, want := masked.runSingle(false), masked.runSingle(true)
		if d := apart(testutil.Convert[float64](got.h), testutil.Convert[float64](want.h)); d > 1e-5 {
			t.Errorf("seed %d: h is %.3g away from the recurrent form", seed, d)
		}
		for name, x := range wild.runSingle(false).all() {
			if math.IsNaN(sum(x)) {
				t.Errorf("seed %d: %s is not a number", seed, name)
			}
		}
	}
}

func sum(x []float64) (s float64) {
	for _, v := range x {
		s += v
	}
	return s
}

// TestMLSTMInfiniteInputGate: relative to an infinite gate the others are undefined,
// and the results must show it.
func TestMLSTMInfiniteInputGate(t *testing.T) {
	s := MLSTM{B: 1, T: 6, NH: 1, DQK: 3, DHV: 2, Chunk: 4, ScaleQ: 1, ScaleK: 1, Eps: 1e-6}
	c := newMLSTMCase(1, s, 1, false)
	c.i[2] = math.Inf(1)
	for step, h := range c.runSingle(false).h {
		if step/s.DHV >= 2 && !math.IsNaN(float64(h)) {
			t.Errorf("step %d has h = %v", step/s.DHV, h)
		}
	}
}
