package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestHeadwiseGradientsOfManyRows: the gradients are those of the definition, also
// where that of the weight consists of several parts.
func TestHeadwiseGradientsOfManyRows(t *testing.T) {
	for _, n := range []int{headwiseParts - 1, headwiseParts, 2*headwiseParts + 7} {
		s := Headwise{N: n, Heads: 3, In: 14, Out: 13, Row: 5, Stride: 20}
		r := rand.New(rand.NewPCG(uint64(n), 1))
		draw := func(n int) []float64 {
			x := make([]float64, n)
			for i := range x {
				x[i] = r.NormFloat64()
			}
			return x
		}
		x, w, dy := draw(n*s.Heads*s.In), draw(s.Heads*s.Stride*s.In), draw(n*s.Heads*s.Out)
		dx, dw := make([]float64, len(x)), draw(len(w))
		HeadwiseBackward(s, x, w, dy, dx, dw, nil)
		wantX, wantW := make([]float64, len(x)), make([]float64, len(w))
		for row := range n {
			for h := range s.Heads {
				for o := range s.Out {
					g := dy[(row*s.Heads+h)*s.Out+o]
					for i := range s.In {
						at, from := s.weight(h)+o*s.In+i, (row*s.Heads+h)*s.In+i
						wantX[from] += g * w[at]
						wantW[at] += g * x[from]
					}
				}
			}
		}
		nearly(t, "dx", dx, wantX)
		nearly(t, "dw", dw, wantW)
	}
}

// nearly compares with what was summed in another order.
func nearly(t *testing.T, name string, got, want []float64) {
	t.Helper()
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-10 {
			t.Fatalf("%s[%d] is %v, want %v", name, i, got[i], want[i])
		}
	}
}
