package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestLSTM follows a step cell by cell in float64, for gates of all sizes.
func TestLSTM(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	const n = 200
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	for _, size := range []float32{1, 30, 1e20} {
		v := random(op[float32]{vectors: 19}, n, r)
		before := lstmOf(v)
		for k := range before.P {
			for j := range n {
				before.P[k][j] *= size
			}
		}
		using(func(set string) {
			after := lstmOf(clone[float32](v))
			after.Forward()
			for j := range n {
				what := fmt.Sprintf("%s with gates of %g: cell %d: ", set, size, j)
				var pre, tol [4]float64
				for k := range pre {
					p, x, b := float64(before.P[k][j]), float64(before.X[k][j]), float64(before.B[k][j])
					pre[k], tol[k] = p+x+b, 2e-7*(1+math.Abs(p)+math.Abs(x)+math.Abs(b))
				}
				g := after.Gates
				checkWithin(t, what+"i", g[0][j], sigmoid(pre[0]), tol[0])
				checkWithin(t, what+"f", g[1][j], sigmoid(pre[1]), tol[1])
				checkWithin(t, what+"g", g[2][j], math.Tanh(pre[2]), tol[2])
				checkWithin(t, what+"o", g[3][j], sigmoid(pre[3]), tol[3])
				kept, written := float64(g[1][j])*float64(before.C[j]), float64(g[0][j])*float64(g[2][j])
				checkWithin(t, what+"c", after.C[j], kept+written, 2e-7*(math.Abs(kept)+math.Abs(written)))
				checkWithin(t, what+"h", after.Y[j], float64(g[3][j])*math.Tanh(float64(after.C[j])), 4e-7)
				if after.CNext[j] != after.C[j] {
					t.Errorf("%sthe new c is not what was kept of it", what)
				}
			}
		})
	}
}

// TestLSTMGradIsTheDerivative: of a random sum of the output and the new state, by
// differences, in float64; the other types and sets agree with that.
func TestLSTMGradIsTheDerivative(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 34))
	const n, h = 40, 1e-5
	v := clone[float64](random(op[float32]{vectors: 19}, n, r))
	weights := clone[float64](random(op[float32]{vectors: 2}, n, r)) // of h and c
	loss := func(j int) float64 {
		s := lstmOf(clone[float64](v))
		s.Forward()
		return weights[0][j]*s.Y[j] + weights[1][j]*s.C[j]
	}
	after := lstmOf(clone[float64](v))
	after.Forward()
	g := &LSTMGrad[float64]{Gates: after.Gates, CNext: after.CNext, CPrev: v[12], DY: weights[0], Carried: make([]float64, n), DC: clone[float64](weights)[1]}
	for k := range g.DPre {
		g.DPre[k] = make([]float64, n)
	}
	g.Step()
	for j := range n {
		for k, at := range []int{0, 1, 2, 3, 12} {
			want := g.DC[j]
			if k < 4 {
				want = g.DPre[k][j]
			}
			x := v[at][j]
			v[at][j] = x + h
			up := loss(j)
			v[at][j] = x - h
			diff := (up - loss(j)) / (2 * h)
			v[at][j] = x
			if math.Abs(diff-want) > 1e-6*(1+math.Abs(diff)) {
				t.Errorf("the derivative of cell %d by vector %d is %v, not %v", j, at, diff, want)
			}
		}
	}
}
