package optim

import (
	"fmt"
	"math"
	"math/rand"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// regression is the graph of a linear regression, y = x·wᵀ + c, whose solution
// is w = (2, -3), c = 0.5.
type regression struct {
	g    *G.ExprGraph
	w, c *G.Node
}

// newRegression builds the graph with the start w = (w0, w1).
func newRegression(t *testing.T, dt tensor.Dtype, w0, w1, c float64) *regression {
	t.Helper()
	r := &regression{g: G.NewGraph()}
	rng := rand.New(rand.NewSource(8))
	xs, ys := noise(40, rng), make([]float64, 20)
	for i := range ys {
		ys[i] = 2*xs[2*i] - 3*xs[2*i+1] + 0.5
	}
	input := func(name string, values []float64, shape ...int) *G.Node {
		d := vector(dt, values...)
		if err := d.Reshape(shape...); err != nil {
			t.Fatal(err)
		}
		return G.NodeFromAny(r.g, d, G.WithName(name))
	}
	x, y := input("x", xs, 20, 2), input("y", ys, 20, 1)
	r.w = input("w", []float64{w0, w1}, 1, 2)
	r.c = G.NewScalar(r.g, dt, G.WithName("c"), G.WithValue(scalar(dt, c)))
	node := testutil.Must[*G.Node]
	out := node(G.Add(node(G.Mul(x, node(G.Transpose(r.w)))), r.c))
	loss := node(G.Mean(node(G.Square(node(G.Sub(out, y))))))
	testutil.Must(G.Grad(loss, r.w, r.c))
	return r
}

func scalar(dt tensor.Dtype, x float64) G.Value {
	if dt == tensor.Float32 {
		return G.NewF32(float32(x))
	}
	return G.NewF64(x)
}

// train runs the graph and steps, n times, and returns w and c.
func (r *regression) train(t *testing.T, s G.Solver, n int, opts ...G.VMOpt) []float64 {
	t.Helper()
	m := G.NewTapeMachine(r.g, opts...)
	defer m.Close()
	for range n {
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		if err := s.Step([]G.ValueGrad{r.w, r.c}); err != nil {
			t.Fatal(err)
		}
		m.Reset()
	}
	return append(read(r.w.Value()), read(r.c.Value())...)
}

func TestRegressionConverges(t *testing.T) {
	lr := WarmupCosine(0.2, 0.001, 5, 200)
	for name, make := range map[string]func() (solver, error){
		"AdamW": func() (solver, error) { return NewAdamW(AdamWConfig{LR: lr, ClipNorm: 5}) },
		"Adam":  func() (solver, error) { return NewAdam(AdamConfig{LR: lr, Beta2: 0.95}) },
		"SGD":   func() (solver, error) { return NewSGD(SGDConfig{LR: lr, Momentum: 0.5}) },
	} {
		for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
			t.Run(fmt.Sprintf("%s/%v", name, dt), func(t *testing.T) {
				r := newRegression(t, dt, 0, 0, 0)
				plain := r.train(t, testutil.Must[solver](make()), 200)
				testutil.Near(t, "fit", plain, []float64{2, -3, 0.5}, 1e-3)
				r = newRegression(t, dt, 0, 0, 0)
				dual := r.train(t, testutil.Must[solver](make()), 200, G.BindDualValues(r.w, r.c))
				if !sameBits(plain, dual) {
					t.Errorf("fit %v without dual values, %v with", plain, dual)
				}
			})
		}
	}
}

func TestTrainingContinuesInAnotherGraph(t *testing.T) {
	dt := tensor.Float32
	s := testutil.Must(NewAdamW(AdamWConfig{LR: Constant(0.1), ClipNorm: 1}))
	want := newRegression(t, dt, 1, 1, 1).train(t, s, 20)

	s = testutil.Must(NewAdamW(AdamWConfig{LR: Constant(0.1), ClipNorm: 1}))
	half := newRegression(t, dt, 1, 1, 1).train(t, s, 10)
	r := newRegression(t, dt, half[0], half[1], half[2])
	if got := r.train(t, s, 10, G.BindDualValues(r.w, r.c)); !sameBits(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The derivatives of sum((a+b)²) by a and by b are one node, with one value.
func TestParametersThatShareTheirGradient(t *testing.T) {
	for _, dual := range []bool{false, true} {
		g := G.NewGraph()
		a := G.NodeFromAny(g, vector(tensor.Float64, 1, 2), G.WithName("a"))
		b := G.NodeFromAny(g, vector(tensor.Float64, 3, 5), G.WithName("b"))
		node := testutil.Must[*G.Node]
		loss := node(G.Sum(node(G.Square(node(G.Add(a, b))))))
		testutil.Must(G.Grad(loss, a, b))
		if a.Deriv() != b.Deriv() {
			t.Fatal("the gradients are not shared, so this tests nothing")
		}
		var opts []G.VMOpt
		if dual {
			opts = append(opts, G.BindDualValues(a, b))
		}
		m := G.NewTapeMachine(g, opts...)
		s := testutil.Must(NewSGD(SGDConfig{LR: Constant(1), ClipNorm: 1}))
		wa, wb := []float64{1, 2}, []float64{3, 5}
		for range 3 {
			d0, d1 := 2*(wa[0]+wb[0]), 2*(wa[1]+wb[1])
			norm := math.Sqrt(2 * (d0*d0 + d1*d1))
			scale := math.Min(1, 1/(norm+1e-6))
			wa[0], wb[0] = wa[0]-scale*d0, wb[0]-scale*d0
			wa[1], wb[1] = wa[1]-scale*d1, wb[1]-scale*d1
			if err := m.RunAll(); err != nil {
				t.Fatal(err)
			}
			if err := s.Step([]G.ValueGrad{a, b}); err != nil {
				t.Fatal(err)
			}
			testutil.Near(t, "norm", []float64{s.GradNorm()}, []float64{norm}, 1e-14)
			testutil.Near(t, "a", read(a.Value()), wa, 1e-14)
			testutil.Near(t, "b", read(b.Value()), wb, 1e-14)
			m.Reset()
		}
		m.Close()
	}
}

// The derivatives of a+b are the constant 1, one node for all graphs: zeroing
// it would end all training in the process.
func TestGradientsThatAreConstantsStay(t *testing.T) {
	for range 2 {
		g := G.NewGraph()
		a := G.NewScalar(g, G.Float64, G.WithName("a"), G.WithValue(2.0))
		b := G.NewScalar(g, G.Float64, G.WithName("b"), G.WithValue(3.0))
		testutil.Must(G.Grad(testutil.Must(G.Add(a, b)), a, b))
		m := G.NewTapeMachine(g)
		s := testutil.Must(NewSGD(SGDConfig{LR: Constant(0.25)}))
		for range 2 {
			if err := m.RunAll(); err != nil {
				t.Fatal(err)
			}
			if err := s.Step([]G.ValueGrad{a, b}); err != nil {
				t.Fatal(err)
			}
			m.Reset()
		}
		testutil.Near(t, "weights", append(read(a.Value()), read(b.Value())...), []float64{1.5, 2.5}, 0)
		m.Close()
	}
}

func TestNonFiniteDualValuesDoNotPoisonTheNextStep(t *testing.T) {
	g := G.NewGraph()
	a := G.NodeFromAny(g, vector(tensor.Float64, 1, 1), G.WithName("a"))
	x := G.NodeFromAny(g, vector(tensor.Float64, math.NaN(), 1), G.WithName("x"))
	node := testutil.Must[*G.Node]
	testutil.Must(G.Grad(node(G.Sum(node(G.HadamardProd(a, x)))), a))
	m := G.NewTapeMachine(g, G.BindDualValues(a))
	defer m.Close()
	s := testutil.Must(NewSGD(SGDConfig{LR: Constant(1)}))
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	if err := s.Step([]G.ValueGrad{a}); err == nil {
		t.Fatal("a NaN was applied")
	}
	m.Reset()
	if err := G.Let(x, vector(tensor.Float64, 2, 3)); err != nil {
		t.Fatal(err)
	}
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	if err := s.Step([]G.ValueGrad{a}); err != nil {
		t.Fatal(err)
	}
	testutil.Near(t, "weights", read(a.Value()), []float64{-1, -2}, 0)
}

// A LispMachine also adds to the gradients, without BindDualValues. It runs
// once.
func TestLispMachine(t *testing.T) {
	g := G.NewGraph()
	a := G.NodeFromAny(g, vector(tensor.Float64, 1, 1), G.WithName("a"))
	x := G.NodeFromAny(g, vector(tensor.Float64, 2, 3), G.WithName("x"))
	node := testutil.Must[*G.Node]
	node(G.Sum(node(G.HadamardProd(a, x))))
	s := testutil.Must(NewSGD(SGDConfig{LR: Constant(1)}))
	for range 2 {
		m := G.NewLispMachine(g)
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		if err := s.Step([]G.ValueGrad{a}); err != nil {
			t.Fatal(err)
		}
		m.Close()
	}
	testutil.Near(t, "weights", read(a.Value()), []float64{-3, -5}, 0)
}
