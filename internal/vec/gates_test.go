package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// relative is the relative error that the exponential of an argument may have: its
// own, and that of rounding the argument.
func relative(arg float64) float64 { return 2e-7 + 1.2e-7*math.Abs(arg) }

// checkWithin allows an error of tol.
func checkWithin(t *testing.T, what string, got float32, want, tol float64) {
	t.Helper()
	if g := float64(got); g != want && !(math.Abs(g-want) <= tol+smallest) {
		t.Errorf("%s is %v, want %v within %v", what, got, want, tol)
	}
}

// TestDecay: the exponents have their digits though sums of gates be in the
// thousands, and a gate that is shut leaves nothing.
func TestDecay(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	const n = 50
	for _, size := range []float64{1, 1e3, 1e4, 1e6, 1e20, math.Inf(1)} {
		c := min(size, 1e6) * r.Float64()
		u := Pair[float32]{make([]float32, n), make([]float32, n)}
		a, want := make([]float32, n), make([]float64, n)
		for j := range n {
			x := -c + r.NormFloat64()*5
			if size > 1e6 {
				x = -size
			}
			u.Split(j, x)
			a[j] = float32(r.NormFloat64())
			want[j] = math.Exp(float64(u.High[j]) + float64(u.Low[j]) + c)
		}
		using(func(set string) {
			got, d := append([]float32(nil), a...), make([]float32, n)
			sum := Decay(u, c, got, d)
			again := append([]float32(nil), a...)
			if s := Decay(u, c, again, nil); s != sum {
				t.Errorf("%s with gates of %g: the sum is %v, and %v with D kept", set, size, s, sum)
			}
			exact, terms := 0.0, 0.0
			for j := range n {
				what := fmt.Sprintf("%s with gates of %g: D[%d]", set, size, j)
				checkWithin(t, what, d[j], want[j], want[j]*relative(math.Log(want[j]+smallest)))
				checkWithin(t, what+" a", got[j], float64(a[j])*float64(d[j]), 1e-7*math.Abs(float64(got[j])))
				exact, terms = exact+float64(got[j]), terms+math.Abs(float64(got[j]))
			}
			checkWithin(t, set+": sum", sum, exact, 1e-6*terms)
		})
	}
}

// TestSLSTM follows a step cell by cell in float64, for gates of all sizes, also
// such as cancel one another, with memories that are empty and others.
func TestSLSTM(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	forward := op[float32]{vectors: 23, positive: []int{13}}
	const n = 400
	for _, size := range []float32{1, 1e3, 1e4, 1e20} {
		v := random(forward, n, r)
		before := slstmOf(v)
		for j := range n {
			for k := range 2 { // of the gates i and f
				before.P[k][j] *= size
				if r.IntN(2) == 0 {
					before.X[k][j], before.B[k][j] = before.X[k][j]*size, -before.P[k][j]
				}
			}
			if r.IntN(4) == 0 {
				before.P[1][j] = float32(math.Inf(-1))
			}
			if r.IntN(3) == 0 {
				before.C[j], before.N[j], before.M[j] = 0, 0, 0
			}
		}
		using(func(set string) {
			after := slstmOf(clone[float32](v))
			after.Forward()
			for j := range n {
				checkCell(t, fmt.Sprintf("%s with gates of %g: cell %d", set, size, j), before, after, j)
			}
		})
	}
}

// checkCell compares cell j before and after a step with the formulas of the paper
// for the stabiliser that the step chose, which must be theirs but for rounding.
func checkCell(t *testing.T, what string, before, after *SLSTM[float32], j int) {
	t.Helper()
	var pre, size [4]float64
	for k := range pre {
		p, x, b := float64(before.P[k][j]), float64(before.X[k][j]), float64(before.B[k][j])
		pre[k], size[k] = p+x+b, math.Abs(p)+math.Abs(x)+math.Abs(b)
	}
	c, n := float64(before.C[j]), float64(before.N[j])
	lf := math.Min(pre[1], 0) - math.Log1p(math.Exp(-math.Abs(pre[1]))) + float64(before.M[j])
	m := math.Max(lf, pre[0])
	if n == 0 {
		m = pre[0]
	}
	got := float64(after.M[j])
	checkWithin(t, what+": m", after.M[j], m, 1.5e-7+ulp(m))
	if math.Abs(got) >= coarse { // no digits are left for the fraction of an exponent
		pre[0], lf = float64(float32(pre[0])), float64(float32(lf))
	}
	argI, argF := pre[0]-got, lf-got
	if n == 0 {
		argF = math.Min(0, argF)
	}
	i, f := math.Exp(argI), math.Exp(argF)
	checkWithin(t, what+": i", after.Gates[0][j], i, i*relative(argI))
	checkWithin(t, what+": f", after.Gates[1][j], f, f*relative(argF))
	checkWithin(t, what+": z", after.Gates[2][j], math.Tanh(pre[2]), 2e-7*(1+size[2]))
	checkWithin(t, what+": o", after.Gates[3][j], 1/(1+math.Exp(-pre[3])), 2e-7*(1+size[3]))
	checkWithin(t, what+": 1-σ(f)", after.Fbar[j], 1/(1+math.Exp(pre[1])), 3e-7)
	i, f = float64(after.Gates[0][j]), float64(after.Gates[1][j])
	z, o := float64(after.Gates[2][j]), float64(after.Gates[3][j])
	c, n = f*c+i*z, f*n+i
	checkWithin(t, what+": c", after.C[j], c, 2e-7*(math.Abs(f*float64(before.C[j]))+i))
	checkWithin(t, what+": n", after.N[j], n, 2e-7*n)
	checkWithin(t, what+": y", after.Y[j], o*float64(after.C[j])/n, 4e-7*math.Abs(o*c/n))
	if after.CNext[j] != after.C[j] || after.NNext[j] != after.N[j] {
		t.Errorf("%s: the new c and n are not what was kept of them", what)
	}
}

// TestSLSTMGradIsTheDerivative: of a random sum of all that a step gives, by
// differences, in float64; the other types and sets agree with that.
func TestSLSTMGradIsTheDerivative(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	const n, h = 40, 1e-5
	v := clone[float64](random(op[float32]{vectors: 23, positive: []int{13}}, n, r))
	weights := clone[float64](random(op[float32]{vectors: 4}, n, r)) // of y, c, n, m
	loss := func(v [][]float64, j int) float64 {
		s := slstmOf(clone[float64](v))
		s.Forward()
		return weights[0][j]*s.Y[j] + weights[1][j]*s.C[j] + weights[2][j]*s.N[j] + weights[3][j]*s.M[j]
	}
	after := slstmOf(clone[float64](v))
	after.Forward()
	g := slstmGradOf(make([][]float64, 18))
	g.Gates, g.Fbar, g.NNext, g.Y, g.DY = after.Gates, after.Fbar, after.NNext, after.Y, weights[0]
	g.Carried, g.CPrev, g.NPrev, g.DC, g.DN = make([]float64, n), v[12], v[13], weights[1], weights[2]
	g.Rest = make([]float64, n)
	for k := range g.DPre {
		g.DPre[k] = make([]float64, n)
	}
	weights = clone[float64](weights)
	for j := range n { // what the stabiliser does beside scaling c and n
		g.Rest[j] = weights[3][j] - after.C[j]*weights[1][j] - after.N[j]*weights[2][j]
	}
	g.Step()
	for j := range n {
		m := g.Rest[j] + v[12][j]*g.DC[j] + v[13][j]*g.DN[j]
		want := []float64{g.DPre[0][j], g.DPre[1][j], g.DPre[2][j], g.DPre[3][j], g.DC[j], g.DN[j], m}
		for i, at := range []int{0, 1, 2, 3, 12, 13, 14} {
			x := v[at][j]
			v[at][j] = x + h
			up := loss(v, j)
			v[at][j] = x - h
			diff := (up - loss(v, j)) / (2 * h)
			v[at][j] = x
			if math.Abs(diff-want[i]) > 1e-6*(1+math.Abs(diff)) {
				t.Errorf("the derivative of cell %d by vector %d is %v, not %v", j, at, diff, want[i])
			}
		}
	}
}
