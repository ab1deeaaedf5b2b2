package vec

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// function is an element-wise function and what it should be.
type function struct {
	name   string
	run    func(x, y []float32)
	exact  func(x float64) float64
	limits [3]float64 // at −∞, 0 and +∞
	ulps   float64    // bound of the error in units in the last place of the exact value,
	below  float64    // or in addition to that, where the argument is less than below,
	lost   float64    // this many of the smallest number for each unit of the argument
	abs    float64    // or an absolute bound of the error
}

// functions have the bounds that the package's documentation gives.
func functions() []function {
	inf := math.Inf(1)
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	normal := func(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }
	density := func(x float64) float64 { return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi) }
	// Products with a factor that vanishes do so themselves.
	times := func(x, y float64) float64 {
		if y == 0 {
			return 0
		}
		return x * y
	}
	value := func(a Activation) func(x, y []float32) { return func(x, y []float32) { Activate(a, x, y) } }
	slope := func(a Activation) func(x, y []float32) {
		return func(x, y []float32) {
			dy := make([]float32, len(x))
			for i := range dy {
				dy[i] = 1
			}
			ActivateGrad(a, x, dy, y)
		}
	}
	return []function{
		{name: "Exp", run: func(x, y []float32) { Exp(y, x) }, exact: math.Exp, limits: [3]float64{0, 1, inf}, ulps: 1.1},
		{name: "Sigmoid", run: value(Sigmoid), exact: sigmoid, limits: [3]float64{0, 0.5, 1}, ulps: 3},
		{name: "LogSigmoid", run: value(LogSigmoid), exact: func(x float64) float64 {
			return math.Min(x, 0) - math.Log1p(math.Exp(-math.Abs(x)))
		}, limits: [3]float64{-inf, -math.Ln2, 0}, ulps: 3},
		{name: "Tanh", run: value(Tanh), exact: math.Tanh, limits: [3]float64{-1, 0, 1}, ulps: 2},
		{name: "SiLU", run: value(SiLU), exact: func(x float64) float64 { return times(x, sigmoid(x)) },
			limits: [3]float64{0, 0, inf}, ulps: 4, below: -87, lost: 1},
		{name: "GELU", run: value(GELU), exact: func(x float64) float64 { return times(x, normal(x)) },
			limits: [3]float64{0, 0, inf}, ulps: 8, below: -13, lost: 1},
		{name: "Sigmoid'", run: slope(Sigmoid), exact: func(x float64) float64 { return sigmoid(x) * sigmoid(-x) },
			limits: [3]float64{0, 0.25, 0}, abs: 3e-7},
		{name: "LogSigmoid'", run: slope(LogSigmoid), exact: func(x float64) float64 { return sigmoid(-x) },
			limits: [3]float64{1, 0.5, 0}, abs: 3e-7},
		{name: "Tanh'", run: slope(Tanh), exact: func(x float64) float64 { return 1 / (math.Cosh(x) * math.Cosh(x)) },
			limits: [3]float64{0, 1, 0}, abs: 3e-7},
		{name: "SiLU'", run: slope(SiLU), exact: func(x float64) float64 {
			return sigmoid(x) + times(x, sigmoid(x)*sigmoid(-x))
		}, limits: [3]float64{0, 0.5, 1}, abs: 3e-7},
		{name: "GELU'", run: slope(GELU), exact: func(x float64) float64 { return normal(x) + times(x, density(x)) },
			limits: [3]float64{0, 0.5, 1}, abs: 3e-7},
	}
}

// TestErrorBounds: the functions have the errors that are documented, over all
// exponents and, more closely, where they are not flat.
func TestErrorBounds(t *testing.T) {
	var xs []float32
	for bits := uint64(0); bits < 1<<32; bits += 8191 {
		if x := math.Float32frombits(uint32(bits)); x == x && !math.IsInf(float64(x), 0) {
			xs = append(xs, x)
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 200000 {
		xs = append(xs, 220*(r.Float32()-0.5))
	}
	exact, got := make([]float64, len(xs)), make([]float32, len(xs))
	for _, f := range functions() {
		for i, x := range xs {
			exact[i] = f.exact(float64(x))
		}
		using(func(set string) {
			f.run(xs, got)
			worst, at := 0.0, 0
			for i, x := range xs {
				if e := f.error(float64(x), float64(got[i]), exact[i]); !(e <= worst) {
					worst, at = e, i
				}
			}
			if !(worst <= 1) {
				t.Errorf("%s %s of %v is %v, want %v", f.name, set, xs[at], got[at], exact[at])
			}
		})
	}
}

// error is the error as a fraction of what is allowed.
func (f *function) error(x, got, exact float64) float64 {
	if got == exact || exact > math.MaxFloat32 && math.IsInf(got, 1) {
		return 0
	}
	allowed := f.abs + f.ulps*ulp(exact)
	if x < f.below {
		allowed += f.lost * -x * smallest
	}
	return math.Abs(got-exact) / allowed
}

const smallest = math.SmallestNonzeroFloat32

// ulp is the unit in the last place of a float32 near x.
func ulp(x float64) float64 {
	_, e := math.Frexp(x)
	return math.Max(math.Ldexp(1, e-24), smallest)
}

// TestLimits: at the ends and at both zeros.
func TestLimits(t *testing.T) {
	inf := float32(math.Inf(1))
	xs := []float32{-inf, 0, inf, float32(math.Copysign(0, -1))}
	for _, f := range functions() {
		using(func(set string) {
			y := make([]float32, len(xs))
			f.run(xs, y)
			for i, want := range append(f.limits[:], f.limits[1]) {
				if y[i] != float32(want) {
					t.Errorf("%s %s of %v is %v, want %v", f.name, set, xs[i], y[i], want)
				}
			}
			if f.limits[1] == 0 && math.Signbit(float64(y[1])) == math.Signbit(float64(y[3])) {
				t.Errorf("%s %s loses the sign of zero", f.name, set)
			}
		})
	}
}

// TestNaN: one NaN among what is read is one in what is written or in the sums;
// only Max ignores it.
func TestNaN(t *testing.T) {
	eachCase(func(o op[float32], n int, v [][]float32) {
		if n != 20 || o.name == "Max" {
			return
		}
		using(func(set string) {
			reads, _ := roles(o, v)
			for _, i := range reads {
				for _, j := range []int{5, 19} {
					got := clone[float32](v)
					got[i][j] = float32(math.NaN())
					got = append(got, o.run(got))
					got[i] = nil
					if !slices.ContainsFunc(slices.Concat(got...), func(x float32) bool { return x != x }) {
						t.Errorf("%s %s with NaN in vector %d: there is none in what it makes", o.name, set, i)
					}
				}
			}
		})
	})
}
