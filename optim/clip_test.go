package optim

import (
	"errors"
	"math"
	"math/rand"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func TestClipScale(t *testing.T) {
	for _, c := range []struct{ max, norm, want float64 }{
		{0, 1e9, 1},
		{1, 0, 1},
		{1, 0.5, 1},
		{1, 1, 1 / (1 + 1e-6)},
		{1, 4, 1 / (4 + 1e-6)},
		{0.5, 2, 0.5 / (2 + 1e-6)},
	} {
		if got := clipScale(c.max, c.norm); math.Abs(got-c.want) > 1e-15 {
			t.Errorf("clipScale(%v, %v) = %v, want %v", c.max, c.norm, got, c.want)
		}
	}
}

func TestGlobalNorm(t *testing.T) {
	a := &fake{"a", nil, vector(tensor.Float32, 1, 2, 3, 4, 5)}
	b := anonymous{&fake{"", nil, gorgonia.NewF64(-13)}}
	for _, c := range []struct {
		model []gorgonia.ValueGrad
		want  float64
	}{
		{nil, 0},
		{[]gorgonia.ValueGrad{a}, math.Sqrt(55)},
		{[]gorgonia.ValueGrad{a, b}, math.Sqrt(224)},
		{[]gorgonia.ValueGrad{a, b, a}, math.Sqrt(279)},
	} {
		got, err := GlobalNorm(c.model)
		if err != nil || got != c.want {
			t.Errorf("GlobalNorm = %v, %v, want %v", got, err, c.want)
		}
	}
	testutil.Near(t, "gradient", read(a.g), []float64{1, 2, 3, 4, 5}, 0)
	for _, bad := range []gorgonia.ValueGrad{nil, &fake{"x", nil, nil}, &fake{"x", nil, gorgonia.NewI(3)}} {
		if _, err := GlobalNorm([]gorgonia.ValueGrad{a, bad}); err == nil || !strings.Contains(err.Error(), "parameter 1") {
			t.Errorf("GlobalNorm of %v: error %v, want one about parameter 1", bad, err)
		}
	}
}

// In float32 the squares of small elements would underflow and those of large
// ones overflow.
func TestNormIsTakenInFloat64(t *testing.T) {
	for _, x := range []float64{1e-30, 1e30} {
		x = float64(float32(x))
		got, err := GlobalNorm([]gorgonia.ValueGrad{&fake{"a", nil, vector(tensor.Float32, 3*x, 4*x)}})
		if err != nil || math.Abs(got/(5*x)-1) > 1e-6 {
			t.Errorf("GlobalNorm = %v, %v, want %v", got, err, 5*x)
		}
	}
}

func TestNormOfManyChunks(t *testing.T) {
	rng := rand.New(rand.NewSource(6))
	g := noise(2*chunkLen+7, rng)
	want := 0.0
	for _, x := range g {
		want += x * x
	}
	p := &fake{"a", vector(tensor.Float64, g...), vector(tensor.Float64, g...)}
	got, err := GlobalNorm([]gorgonia.ValueGrad{p})
	if err != nil || math.Abs(got/math.Sqrt(want)-1) > 1e-12 {
		t.Errorf("GlobalNorm = %v, %v, want %v", got, err, math.Sqrt(want))
	}
	s := testutil.Must(NewSGD(SGDConfig{}))
	if err := s.Step([]gorgonia.ValueGrad{p}); err != nil || s.GradNorm() != got {
		t.Errorf("GradNorm() = %v, %v, want %v", s.GradNorm(), err, got)
	}
}

func TestClippingLimitsTheStep(t *testing.T) {
	a, b := &fake{"a", gorgonia.NewF64(0), gorgonia.NewF64(30)}, &fake{"b", gorgonia.NewF32(0), gorgonia.NewF32(40)}
	s := testutil.Must(NewSGD(SGDConfig{LR: Constant(1), ClipNorm: 5}))
	if err := s.Step([]gorgonia.ValueGrad{a, b}); err != nil {
		t.Fatal(err)
	}
	testutil.Near(t, "weights", append(read(a.w), read(b.w)...), []float64{-3, -4}, 1e-6)
	if s.GradNorm() != 50 {
		t.Errorf("GradNorm() = %v, want 50, the norm before clipping", s.GradNorm())
	}
}

func TestNonFiniteGradientsChangeNothing(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, c := range map[string]struct {
		dt    tensor.Dtype
		bad   []float64
		param string
	}{
		"NaN float32":        {tensor.Float32, []float64{1, nan, 1}, "b"},
		"Inf float32":        {tensor.Float32, []float64{1, 1, inf}, "b"},
		"-Inf float64":       {tensor.Float64, []float64{-inf, 1, 1}, "b"},
		"overflow in one":    {tensor.Float64, []float64{1e200, 0, 0}, "b"},
		"overflow of sum":    {tensor.Float64, []float64{1.3e154, 0, 0}, ""},
		"NaN beside an Inf":  {tensor.Float64, []float64{inf, nan, 1}, "b"},
		"NaN after overflow": {tensor.Float64, []float64{1e200, nan, 1}, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewSource(7))
			a, b := newFake(c.dt, "a", 3, rng), newFake(c.dt, "b", 3, rng)
			model := []gorgonia.ValueGrad{a, b}
			s := testutil.Must(NewAdamW(AdamWConfig{ClipNorm: 1, WeightDecay: 1}))
			a.fill([]float64{1, 2, 3})
			if err := s.Step(model); err != nil {
				t.Fatal(err)
			}
			state, weights, rate := s.State(), append(read(a.w), read(b.w)...), s.LR()

			fresh := newFake(c.dt, "fresh", 3, rng)
			a.fill([]float64{1e154, 0, 0})
			if c.dt == tensor.Float32 {
				a.fill([]float64{1, 0, 0})
			}
			b.fill(c.bad)
			err := s.Step([]gorgonia.ValueGrad{fresh, a, b})
			var bad *NonFiniteError
			if !errors.As(err, &bad) || bad.Step != 2 || bad.Param != c.param || finite(bad.Norm) {
				t.Fatalf("error %#v, want step 2, parameter %q", err, c.param)
			}
			testutil.Near(t, "weights", append(read(a.w), read(b.w)...), weights, 0)
			sameState(t, s.State(), state)
			testutil.Near(t, "gradients", append(read(a.g), read(b.g)...), make([]float64, 6), 0)
			testutil.Near(t, "rate and norm", []float64{s.LR(), s.GradNorm()}, []float64{rate, math.Sqrt(14)}, 1e-15)
			if err := s.Step(model); err != nil || s.State().Step != 2 {
				t.Errorf("the step after it: %v, step %d", err, s.State().Step)
			}
		})
	}
}
