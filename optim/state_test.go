package optim

import (
	"hash/fnv"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func sameState(t *testing.T, got, want State) {
	t.Helper()
	if got.Step != want.Step || len(got.Tensors) != len(want.Tensors) {
		t.Fatalf("step %d with %d tensors, want step %d with %d",
			got.Step, len(got.Tensors), want.Step, len(want.Tensors))
	}
	for name, w := range want.Tensors {
		g := got.Tensors[name]
		if g == nil || !slices.Equal(g.Shape(), w.Shape()) || g.Dtype() != w.Dtype() || !sameBits(read(g), read(w)) {
			t.Fatalf("%s = %v, want %v", name, g, w)
		}
	}
}

func sameBits(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) })
}

func sameWeights(t *testing.T, got, want []*fake) {
	t.Helper()
	for i, w := range want {
		if !sameBits(read(got[i].w), read(w.w)) {
			t.Errorf("%s = %v, want %v", w.name, read(got[i].w), read(w.w))
		}
	}
}

// assorted is a model with tensors of both types and a scalar.
func assorted() []*fake {
	rng := rand.New(rand.NewSource(5))
	m := tensor.New(tensor.WithShape(1, 3), tensor.WithBacking(noise(3, rng)))
	return []*fake{
		newFake(tensor.Float32, "blocks.0.a.weight", 5, rng),
		{"b", m, m.Clone().(*tensor.Dense)},
		{"c", gorgonia.NewF32(1), gorgonia.NewF32(0)},
	}
}

// steps makes the steps from first to last with gradients that depend only on
// step and name.
func steps(t *testing.T, s solver, model []*fake, first, last int) {
	t.Helper()
	for step := first; step <= last; step++ {
		var in []gorgonia.ValueGrad
		for _, p := range model {
			h := fnv.New64()
			h.Write([]byte(p.name))
			p.fill(noise(5, rand.New(rand.NewSource(int64(h.Sum64())+int64(step)))))
			in = append(in, p)
		}
		if err := s.Step(in); err != nil {
			t.Fatal(err)
		}
	}
}

func TestResumingEqualsNeverStopping(t *testing.T) {
	lr := WarmupCosine(0.1, 0.01, 2, 9)
	for name, make := range map[string]func() (solver, error){
		"AdamW":             func() (solver, error) { return NewAdamW(AdamWConfig{LR: lr, WeightDecay: 0.1, ClipNorm: 1}) },
		"Adam":              func() (solver, error) { return NewAdam(AdamConfig{LR: lr}) },
		"SGD":               func() (solver, error) { return NewSGD(SGDConfig{LR: lr}) },
		"SGD with momentum": func() (solver, error) { return NewSGD(SGDConfig{LR: lr, Momentum: 0.9}) },
	} {
		t.Run(name, func(t *testing.T) {
			whole, straight := assorted(), testutil.Must[solver](make())
			steps(t, straight, whole, 1, 8)

			parts, first, second := assorted(), testutil.Must[solver](make()), testutil.Must[solver](make())
			steps(t, first, parts, 1, 3)
			saved, kept := first.State(), first.State()
			if err := second.SetState(saved); err != nil {
				t.Fatal(err)
			}
			if second.LR() != first.LR() {
				t.Errorf("LR() = %v after SetState, want %v", second.LR(), first.LR())
			}
			steps(t, second, parts, 4, 8)
			sameWeights(t, parts, whole)
			sameState(t, second.State(), straight.State())
			sameState(t, saved, kept)
		})
	}
}

func TestMomentsGoByName(t *testing.T) {
	whole, straight := assorted(), testutil.Must(NewAdam(AdamConfig{}))
	steps(t, straight, whole, 1, 6)

	model, s := assorted(), testutil.Must(NewAdam(AdamConfig{}))
	steps(t, s, model, 1, 3)
	rebuilt := assorted()
	for i, p := range rebuilt {
		p.w = model[i].w
	}
	slices.Reverse(rebuilt)
	steps(t, s, rebuilt, 4, 6)
	slices.Reverse(rebuilt)
	sameWeights(t, rebuilt, whole)
}

func TestStateNamesItsTensors(t *testing.T) {
	for _, c := range []struct {
		s    solver
		want []string
	}{
		{testutil.Must(NewAdamW(AdamWConfig{})), []string{
			"exp_avg.b", "exp_avg.blocks.0.a.weight", "exp_avg.c",
			"exp_avg_sq.b", "exp_avg_sq.blocks.0.a.weight", "exp_avg_sq.c"}},
		{testutil.Must(NewSGD(SGDConfig{Momentum: 0.5})), []string{
			"momentum_buffer.b", "momentum_buffer.blocks.0.a.weight", "momentum_buffer.c"}},
		{testutil.Must(NewSGD(SGDConfig{})), nil},
	} {
		if s := c.s.State(); s.Step != 0 || len(s.Tensors) != 0 {
			t.Errorf("a new %T has the state %v", c.s, s)
		}
		steps(t, c.s, assorted(), 1, 2)
		s := c.s.State()
		var names []string
		for name := range s.Tensors {
			names = append(names, name)
		}
		slices.Sort(names)
		if s.Step != 2 || !slices.Equal(names, c.want) {
			t.Errorf("%T: step %d with %q, want step 2 with %q", c.s, s.Step, names, c.want)
		}
	}
}

func TestSetStateCopies(t *testing.T) {
	s := testutil.Must(NewSGD(SGDConfig{Momentum: 0.5}))
	given := tensor.New(tensor.WithShape(3, 2), tensor.WithBacking([]float64{1, 4, 2, 5, 3, 6}))
	if err := given.T(); err != nil {
		t.Fatal(err)
	}
	if err := s.SetState(State{Step: 7, Tensors: map[string]*tensor.Dense{"momentum_buffer.w": given}}); err != nil {
		t.Fatal(err)
	}
	given.Zero()
	got := s.State()
	if got.Step != 7 {
		t.Errorf("step %d, want 7", got.Step)
	}
	testutil.Near(t, "buffer", read(got.Tensors["momentum_buffer.w"]), []float64{1, 2, 3, 4, 5, 6}, 0)
}

func TestSetStateRefusesForeignStatesAndChangesNothing(t *testing.T) {
	v := vector(tensor.Float64, 1)
	for name, c := range map[string]struct {
		s    State
		want string
	}{
		"negative step":  {State{Step: -1}, "-1"},
		"another solver": {State{Tensors: map[string]*tensor.Dense{"momentum_buffer.w": v}}, "momentum_buffer.w"},
		"no parameter":   {State{Tensors: map[string]*tensor.Dense{"exp_avg": v, "exp_avg_sq": v}}, `"exp_avg"`},
		"half a pair":    {State{Tensors: map[string]*tensor.Dense{"exp_avg.w": v}}, `"exp_avg_sq.w" is missing`},
		"a moment of NaN": {State{Tensors: map[string]*tensor.Dense{
			"exp_avg.w": vector(tensor.Float32, 1, math.NaN()), "exp_avg_sq.w": v}}, "number 1 is NaN"},
		"an infinite moment": {State{Tensors: map[string]*tensor.Dense{
			"exp_avg.w": v, "exp_avg_sq.w": vector(tensor.Float64, math.Inf(1))}}, "number 0 is +Inf"},
		"a negative square": {State{Tensors: map[string]*tensor.Dense{
			"exp_avg.w": v, "exp_avg_sq.w": vector(tensor.Float64, 1, 2, -3)}}, "number 2 is -3"},
		"nil tensor": {State{Tensors: map[string]*tensor.Dense{"exp_avg.w": nil}}, "nil"},
		"integers": {State{Tensors: map[string]*tensor.Dense{
			"exp_avg.w": tensor.New(tensor.WithShape(1), tensor.Of(tensor.Int))}}, "int"},
	} {
		t.Run(name, func(t *testing.T) {
			s := testutil.Must(NewAdam(AdamConfig{}))
			steps(t, s, assorted(), 1, 2)
			before := s.State()
			if err := s.SetState(c.s); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			sameState(t, s.State(), before)
		})
	}
}

func TestSnapshotsStayWhatTheyWere(t *testing.T) {
	s, model := testutil.Must(NewSGD(SGDConfig{Momentum: 0.5})), assorted()
	steps(t, s, model, 1, 2)
	saved := s.State()
	want := make(map[string][]float64)
	for name, d := range saved.Tensors {
		want[name] = read(d)
	}
	steps(t, s, model, 3, 4)
	for name, d := range saved.Tensors {
		testutil.Near(t, name, read(d), want[name], 0)
	}
	if saved.Step != 2 {
		t.Errorf("step %d, want 2", saved.Step)
	}
}
