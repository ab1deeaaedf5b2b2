package optim

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	_ "go4.org/unsafe/assume-no-moving-gc"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// fake is a parameter without a graph.
type fake struct {
	name string
	w, g gorgonia.Value
}

func (f *fake) Name() string                  { return f.name }
func (f *fake) Value() gorgonia.Value         { return f.w }
func (f *fake) Grad() (gorgonia.Value, error) { return f.g, nil }

// solver is the interface of all solvers of the package.
type solver interface {
	gorgonia.Solver
	LR() float64
	GradNorm() float64
	State() State
	SetState(State) error
}

func vector(dt tensor.Dtype, xs ...float64) *tensor.Dense {
	if dt == tensor.Float64 {
		return tensor.New(tensor.WithShape(len(xs)), tensor.WithBacking(slices.Clone(xs)))
	}
	return tensor.New(tensor.WithShape(len(xs)), tensor.WithBacking(testutil.Convert[float32](xs)))
}

// read returns the elements of a value as float64s.
func read(v gorgonia.Value) []float64 {
	view, err := viewOf(v)
	if err != nil {
		panic(err)
	}
	flat := view.flat()
	out := slices.Clone(flat.F64)
	for _, x := range flat.F32 {
		out = append(out, float64(x))
	}
	return out
}

// fill overwrites a fake's gradient.
func (f *fake) fill(xs []float64) {
	v, _ := viewOf(f.g)
	copy(v.raw.F64, xs)
	copy(v.raw.F32, testutil.Convert[float32](xs))
}

// newFake makes a parameter of n elements; its values are float32s, so that
// both precisions start at the same numbers.
func newFake(dt tensor.Dtype, name string, n int, rng *rand.Rand) *fake {
	return &fake{name, vector(dt, noise(n, rng)...), vector(dt, make([]float64, n)...)}
}

func noise(n int, rng *rand.Rand) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = float64(float32(rng.NormFloat64()))
	}
	return xs
}

// formula is a solver's textbook update of one number; s is its memory. It
// shares nothing with the package.
type formula func(w, g, lr, wd float64, t int, s []float64) float64

func adamFormula(decoupled bool, b1, b2, eps float64) formula {
	return func(w, g, lr, wd float64, t int, s []float64) float64 {
		if decoupled {
			w -= lr * wd * w
		} else {
			g += wd * w
		}
		s[0] = b1*s[0] + (1-b1)*g
		s[1] = b2*s[1] + (1-b2)*g*g
		mHat := s[0] / (1 - math.Pow(b1, float64(t)))
		vHat := s[1] / (1 - math.Pow(b2, float64(t)))
		return w - lr*mHat/(math.Sqrt(vHat)+eps)
	}
}

func sgdFormula(mu float64) formula {
	return func(w, g, lr, wd float64, t int, s []float64) float64 {
		g += wd * w
		if t > 1 {
			g += mu * s[0]
		}
		s[0] = g
		return w - lr*g
	}
}

func TestSolversFollowTheirFormulas(t *testing.T) {
	lr := func(step int) float64 { return 0.1 / float64(step) }
	weights := func(name string) bool { return name == "a" }
	cases := []struct {
		name string
		make func() (solver, error)
		want formula
		wd   float64
		clip float64
	}{
		{"AdamW", func() (solver, error) {
			return NewAdamW(AdamWConfig{LR: lr, WeightDecay: 0.3, Decays: weights, ClipNorm: 2})
		}, adamFormula(true, 0.9, 0.95, 1e-8), 0.3, 2},
		{"AdamW with other numbers", func() (solver, error) {
			return NewAdamW(AdamWConfig{LR: lr, Beta1: 0.8, Beta2: 0.99, Eps: 0.1})
		}, adamFormula(true, 0.8, 0.99, 0.1), 0, 0},
		{"Adam", func() (solver, error) {
			return NewAdam(AdamConfig{LR: lr, WeightDecay: 0.3, Decays: weights})
		}, adamFormula(false, 0.9, 0.999, 1e-8), 0.3, 0},
		{"SGD", func() (solver, error) {
			return NewSGD(SGDConfig{LR: lr, WeightDecay: 0.3, Decays: weights, ClipNorm: 2})
		}, sgdFormula(0), 0.3, 2},
		{"SGD with momentum", func() (solver, error) {
			return NewSGD(SGDConfig{LR: lr, Momentum: 0.7, WeightDecay: 0.3, Decays: weights})
		}, sgdFormula(0.7), 0.3, 0},
	}
	for _, c := range cases {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			t.Run(fmt.Sprintf("%s/%v", c.name, dt), func(t *testing.T) {
				s := testutil.Must[solver](c.make())
				follow(t, s, dt, c.want, lr, c.wd, c.clip)
			})
		}
	}
}

// follow runs s and the formula side by side on two parameters, of which "a"
// decays.
func follow(t *testing.T, s solver, dt tensor.Dtype, f formula, lr Schedule, wd, clip float64) {
	tol := map[tensor.Dtype]float64{tensor.Float32: 3e-6, tensor.Float64: 1e-14}[dt]
	rng := rand.New(rand.NewSource(1))
	a, b := newFake(dt, "a", 3, rng), newFake(dt, "b", 2, rng)
	w := append(read(a.w), read(b.w)...)
	mem := make([][2]float64, len(w))
	for step := 1; step <= 8; step++ {
		g := noise(len(w), rng)
		a.fill(g[:3])
		b.fill(g[3:])
		norm := 0.0
		for _, x := range g {
			norm = math.Hypot(norm, x)
		}
		scale := 1.0
		if clip > 0 && clip/(norm+1e-6) < 1 {
			scale = clip / (norm + 1e-6)
		}
		for i := range w {
			decay := wd
			if i >= 3 {
				decay = 0
			}
			w[i] = f(w[i], scale*g[i], lr(step), decay, step, mem[i][:])
		}
		if err := s.Step([]gorgonia.ValueGrad{a, b}); err != nil {
			t.Fatal(err)
		}
		testutil.Near(t, fmt.Sprintf("weights after step %d", step), append(read(a.w), read(b.w)...), w, tol)
		testutil.Near(t, "rate and norm", []float64{s.LR(), s.GradNorm()}, []float64{lr(step), norm}, 1e-14)
		testutil.Near(t, "gradients", append(read(a.g), read(b.g)...), make([]float64, 5), 0)
	}
}

// The first step of Adam moves by lr·sign(g), that of AdamW after subtracting
// lr·wd.
func TestStepsComputedByHand(t *testing.T) {
	p := &fake{"w", gorgonia.NewF64(1), gorgonia.NewF64(0.5)}
	s := testutil.Must(NewAdamW(AdamWConfig{LR: Constant(0.1), WeightDecay: 0.1}))
	for _, want := range []float64{
		1*0.99 - 0.1,
		// g=-0.25: m=.9·.05-.025=.02, v=.95·.0125+.003125=.015, over 1-.81 and
		// 1-.9025
		0.89*0.99 - 0.1*(0.02/0.19)/math.Sqrt(0.015/0.0975),
	} {
		if err := s.Step([]gorgonia.ValueGrad{p}); err != nil {
			t.Fatal(err)
		}
		testutil.Near(t, "AdamW", read(p.w), []float64{want}, 1e-7)
		p.fill([]float64{-0.25})
	}

	p = &fake{"w", gorgonia.NewF32(1), gorgonia.NewF32(2)}
	sgd := testutil.Must(NewSGD(SGDConfig{LR: Constant(0.1), Momentum: 0.5}))
	for _, want := range []float64{0.8, 0.5, 0.15} { // velocities 2, 3, 3.5
		p.fill([]float64{2})
		if err := sgd.Step([]gorgonia.ValueGrad{p}); err != nil {
			t.Fatal(err)
		}
		testutil.Near(t, "SGD", read(p.w), []float64{want}, 1e-6)
	}
}

func TestDefaults(t *testing.T) {
	for _, c := range []struct {
		implicit, explicit solver
	}{
		{testutil.Must(NewAdamW(AdamWConfig{})),
			testutil.Must(NewAdamW(AdamWConfig{LR: Constant(1e-3), Beta1: 0.9, Beta2: 0.95, Eps: 1e-8}))},
		{testutil.Must(NewAdam(AdamConfig{})),
			testutil.Must(NewAdam(AdamConfig{LR: Constant(1e-3), Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}))},
		{testutil.Must(NewSGD(SGDConfig{})), testutil.Must(NewSGD(SGDConfig{LR: Constant(1e-3)}))},
	} {
		if a, b := trajectory(t, c.implicit, 3), trajectory(t, c.explicit, 3); !slices.Equal(a, b) {
			t.Errorf("%T: %v by default, %v with the documented numbers", c.implicit, a, b)
		}
	}
}

// trajectory returns the weights after n steps from a fixed start.
func trajectory(t *testing.T, s solver, n int) []float64 {
	t.Helper()
	rng := rand.New(rand.NewSource(2))
	p := newFake(tensor.Float64, "w", 4, rng)
	for range n {
		p.fill(noise(4, rng))
		if err := s.Step([]gorgonia.ValueGrad{p}); err != nil {
			t.Fatal(err)
		}
	}
	return read(p.w)
}

func TestConfigurationsRefused(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	adamw := []AdamWConfig{
		{Beta1: 1}, {Beta2: 1}, {Beta1: -0.1}, {Beta2: nan}, {Eps: -1}, {Eps: inf}, {WeightDecay: -1}, {WeightDecay: nan},
		{ClipNorm: -1}, {ClipNorm: inf}, {LR: Constant(-1)}, {LR: Constant(nan)},
	}
	for _, c := range adamw {
		if s, err := NewAdamW(c); err == nil || s != nil {
			t.Errorf("NewAdamW(%+v) = %v, %v", c, s, err)
		}
	}
	if s, err := NewAdam(AdamConfig{Beta2: 2}); err == nil || s != nil {
		t.Errorf("NewAdam = %v, %v", s, err)
	}
	if s, err := NewAdam(AdamConfig{ClipNorm: nan}); err == nil || s != nil {
		t.Errorf("NewAdam = %v, %v", s, err)
	}
	for _, c := range []SGDConfig{{Momentum: 1}, {Momentum: -0.5}, {Momentum: nan}, {WeightDecay: inf}} {
		if s, err := NewSGD(c); err == nil || s != nil {
			t.Errorf("NewSGD(%+v) = %v, %v", c, s, err)
		}
	}
}

// anonymous is a parameter without a name.
type anonymous struct{ gorgonia.ValueGrad }

// gradless is a parameter that fails to give its gradient.
type gradless struct{ fake }

func (g *gradless) Grad() (gorgonia.Value, error) { return nil, errors.New("no luck") }

func TestStepRefusesUnsoundParametersAndChangesNothing(t *testing.T) {
	f64 := tensor.Float64
	v := func() *tensor.Dense { return vector(f64, 1, 2) }
	f32 := func() *tensor.Dense { return vector(tensor.Float32, 1, 2) }
	square := func() *tensor.Dense {
		return tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]float64{1, 2, 3, 4}))
	}
	transposed := square()
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	shared := v()
	unnamed := gorgonia.NodeFromAny(gorgonia.NewGraph(), v(), gorgonia.WithName(""))
	notRun := gorgonia.NodeFromAny(gorgonia.NewGraph(), v(), gorgonia.WithName("n"))
	integers := tensor.New(tensor.Of(tensor.Int), tensor.WithShape(2))
	empty := tensor.New(tensor.Of(f64), tensor.WithShape(0, 2))
	cases := map[string]struct {
		bad  []gorgonia.ValueGrad
		want string
	}{
		"nil":               {[]gorgonia.ValueGrad{nil}, "nil"},
		"no Name method":    {[]gorgonia.ValueGrad{anonymous{&fake{"x", v(), v()}}}, "Name()"},
		"empty name":        {[]gorgonia.ValueGrad{&fake{"", v(), v()}}, "no name"},
		"unnamed node":      {[]gorgonia.ValueGrad{unnamed}, "no name"},
		"a name twice":      {[]gorgonia.ValueGrad{&fake{"x", v(), v()}, &fake{"x", v(), v()}}, `name "x"`},
		"a tensor twice":    {[]gorgonia.ValueGrad{&fake{"x", shared, v()}, &fake{"y", shared, v()}}, `"x" and "y"`},
		"no value":          {[]gorgonia.ValueGrad{&fake{"x", nil, v()}}, "no value"},
		"nil tensor":        {[]gorgonia.ValueGrad{&fake{"x", (*tensor.Dense)(nil), v()}}, "nil"},
		"no gradient":       {[]gorgonia.ValueGrad{&fake{"x", v(), nil}}, "run"},
		"gradient fails":    {[]gorgonia.ValueGrad{&gradless{fake{"x", v(), nil}}}, "no luck"},
		"graph not run":     {[]gorgonia.ValueGrad{notRun}, `"n"`},
		"integers":          {[]gorgonia.ValueGrad{&fake{"x", integers, v()}}, "int"},
		"integer scalar":    {[]gorgonia.ValueGrad{&fake{"x", gorgonia.NewI(1), v()}}, "gorgonia.I"},
		"types differ":      {[]gorgonia.ValueGrad{&fake{"x", v(), f32()}}, "float32"},
		"shapes differ":     {[]gorgonia.ValueGrad{&fake{"x", v(), vector(f64, 1, 2, 3)}}, "(3)"},
		"scalar and vector": {[]gorgonia.ValueGrad{&fake{"x", gorgonia.NewF64(1), v()}}, "(2)"},
		"no elements":       {[]gorgonia.ValueGrad{&fake{"x", empty, v()}}, "(0, 2)"},
		"transposed weight": {[]gorgonia.ValueGrad{&fake{"x", transposed, square()}}, "row-major"},
		"other state":       {[]gorgonia.ValueGrad{&fake{"old", square(), square()}}, "(2, 2)"},
		"other state type":  {[]gorgonia.ValueGrad{&fake{"old", f32(), f32()}}, "float32"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := testutil.Must(NewAdamW(AdamWConfig{}))
			if err := s.Step([]gorgonia.ValueGrad{&fake{"old", v(), v()}}); err != nil {
				t.Fatal(err)
			}
			before := s.State()
			good := &fake{"good", v(), v()}
			err := s.Step(append([]gorgonia.ValueGrad{good}, c.bad...))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
			testutil.Near(t, "weights", read(good.w), []float64{1, 2}, 0)
			testutil.Near(t, "gradients", read(good.g), []float64{1, 2}, 0)
			sameState(t, s.State(), before)
			if err := s.Step([]gorgonia.ValueGrad{good}); err != nil {
				t.Errorf("the next step fails: %v", err)
			}
		})
	}
	s := testutil.Must(NewAdamW(AdamWConfig{}))
	if s.Step(nil) == nil {
		t.Error("a step without parameters is not refused")
	}
}

func TestStepRefusesNonsensicalRates(t *testing.T) {
	lr := func(step int) float64 { return []float64{0, 0.1, math.NaN()}[step] }
	s := testutil.Must(NewSGD(SGDConfig{LR: lr}))
	p := &fake{"x", gorgonia.NewF64(1), gorgonia.NewF64(1)}
	if err := s.Step([]gorgonia.ValueGrad{p}); err != nil {
		t.Fatal(err)
	}
	p.fill([]float64{1})
	if err := s.Step([]gorgonia.ValueGrad{p}); err == nil || !strings.Contains(err.Error(), "step 2") {
		t.Errorf("error %v, want one about step 2", err)
	}
	testutil.Near(t, "weight", read(p.w), []float64{0.9}, 1e-15)
	if s.LR() != 0.1 {
		t.Errorf("LR() = %v after a failed step, want that of the last one done", s.LR())
	}
}

// Gradients may be stored in any order, and only their own elements are zeroed.
func TestStridedGradients(t *testing.T) {
	transposed := tensor.New(tensor.WithShape(3, 2), tensor.WithBacking([]float64{1, 4, 2, 5, 3, 6}))
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	whole := tensor.New(tensor.WithShape(2, 4), tensor.WithBacking([]float32{9, 1, 2, 9, 9, 3, 4, 9}))
	part := testutil.Must[tensor.View](whole.Slice(nil, tensor.S(1, 3))).(*tensor.Dense)
	a := &fake{"a", tensor.New(tensor.WithShape(2, 3), tensor.Of(tensor.Float64)), transposed}
	b := &fake{"b", tensor.New(tensor.WithShape(2, 2), tensor.Of(tensor.Float32)), part}
	lengthened := tensor.New(tensor.WithShape(1, 2, 1), tensor.WithBacking([]float64{7, 8}))
	c := &fake{"c", vector(tensor.Float64, 0, 0), lengthened}
	s := testutil.Must(NewSGD(SGDConfig{LR: Constant(1)}))
	if err := s.Step([]gorgonia.ValueGrad{a, b, c}); err != nil {
		t.Fatal(err)
	}
	testutil.Near(t, "a", read(a.w), []float64{-1, -2, -3, -4, -5, -6}, 0)
	testutil.Near(t, "b", read(b.w), []float64{-1, -2, -3, -4}, 0)
	testutil.Near(t, "c", read(c.w), []float64{-7, -8}, 0)
	testutil.Near(t, "gradient of a", read(a.g), make([]float64, 6), 0)
	testutil.Near(t, "around the gradient of b", read(whole), []float64{9, 0, 0, 9, 9, 0, 0, 9}, 0)
}

// large is a model of several chunks, with a ragged end, and a solver for it.
func large(t testing.TB, dt tensor.Dtype) ([]gorgonia.ValueGrad, func()) {
	rng := rand.New(rand.NewSource(3))
	s := testutil.Must(NewAdamW(AdamWConfig{WeightDecay: 0.1, ClipNorm: 1}))
	var model []gorgonia.ValueGrad
	for i, n := range []int{3*chunkLen + 5, 1, chunkLen} {
		p := newFake(dt, fmt.Sprint("p", i), n, rng)
		p.fill(noise(n, rng))
		model = append(model, p)
	}
	return model, func() {
		if err := s.Step(model); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResultsDoNotDependOnProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var want [][]float64
	for _, procs := range []int{1, 2, 7} {
		runtime.GOMAXPROCS(procs)
		model, step := large(t, tensor.Float32)
		step()
		for i, p := range model {
			got := read(p.Value())
			if procs == 1 {
				want = append(want, got)
			} else if !slices.Equal(got, want[i]) {
				t.Errorf("parameter %d differs between 1 and %d processors", i, procs)
			}
		}
	}
}

func TestEveryElementIsUpdatedOnce(t *testing.T) {
	s := testutil.Must(NewSGD(SGDConfig{LR: Constant(1)}))
	n := 2*chunkLen + 3
	p := &fake{"p", vector(tensor.Float32, make([]float64, n)...), vector(tensor.Float32, make([]float64, n)...)}
	want := make([]float64, n)
	for i := range want {
		want[i] = -float64(i % 1000)
		p.g.(*tensor.Dense).Float32s()[i] = float32(i % 1000)
	}
	if err := s.Step([]gorgonia.ValueGrad{p}); err != nil {
		t.Fatal(err)
	}
	testutil.Near(t, "weights", read(p.w), want, 0)
}

func TestStepsAllocateNextToNothing(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	_, step := large(t, tensor.Float32)
	if n := testing.AllocsPerRun(20, step); n > 16 {
		t.Errorf("%v allocations per step", n)
	}
}
