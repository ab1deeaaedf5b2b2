package nodes

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// forwardOf builds a case without its loss. The machine is a tape machine or a
// sequence.
func forwardOf(t *testing.T, c graphCase, dt tensor.Dtype, sequence bool) (xs, ys gorgonia.Nodes, vm gorgonia.VM) {
	t.Helper()
	g := gorgonia.NewGraph()
	for _, in := range c.inputs {
		xs = append(xs, gorgonia.NewTensor(g, dt, len(in.shape), gorgonia.WithShape(in.shape...), gorgonia.WithName(in.name)))
	}
	ys, err := c.build(xs)
	if err != nil {
		t.Fatal(err)
	}
	if vm = gorgonia.VM(gorgonia.NewTapeMachine(g)); sequence {
		if vm, err = NewSequence(g, nil); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { vm.Close() })
	return xs, ys, vm
}

func letAndRun(t *testing.T, c graphCase, dt tensor.Dtype, xs gorgonia.Nodes, vm gorgonia.VM, values [][]float64) {
	t.Helper()
	for i, x := range xs {
		if err := gorgonia.Let(x, dense(dt, c.inputs[i].shape, values[i])); err != nil {
			t.Fatal(err)
		}
	}
	vm.Reset()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
}

func wantBits(t *testing.T, what string, got, want gorgonia.Value) {
	t.Helper()
	if got == nil || !got.Shape().Eq(want.Shape()) || got.Dtype() != want.Dtype() {
		t.Fatalf("%s: %v instead of %v of %v", what, got, want.Dtype(), want.Shape())
	}
	same := func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }
	if !slices.EqualFunc(elementsOf(got), elementsOf(want), same) {
		t.Errorf("%s: %v, a tape machine computes %v", what, got, want)
	}
}

// TestSequenceEqualsTapeMachine runs every operation both ways, several times
// with inputs that are bound again.
func TestSequenceEqualsTapeMachine(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
				tapeIn, tapeOut, tape := forwardOf(t, c, dt, false)
				seqIn, seqOut, seq := forwardOf(t, c, dt, true)
				for _, seed := range []uint64{1, 2, 1} {
					letAndRun(t, c, dt, tapeIn, tape, c.values(seed))
					letAndRun(t, c, dt, seqIn, seq, c.values(seed))
					for i, y := range seqOut {
						wantBits(t, name, y.Value(), tapeOut[i].Value())
					}
				}
			}
		})
	}
}

// TestSequenceAddsUpGradients: what three operations read without a Fork has
// the gradient that a tape machine computes, to the bit, whether results share
// memory or not.
func TestSequenceAddsUpGradients(t *testing.T) {
	run := func(sequence, share bool) (grad, y gorgonia.Value) {
		g := gorgonia.NewGraph()
		x, targets := matrix(g, "x", 4, 3), gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(4), gorgonia.WithName("targets"))
		out := x
		for range 3 {
			u := testutil.Must(SiLU(out))
			out = testutil.Must(Add(testutil.Must(Add(testutil.Must(Tanh(u)), testutil.Must(Sigmoid(u)))), testutil.Must(SoftCap(u, 2))))
		}
		if _, err := gorgonia.Grad(testutil.Must(CrossEntropy(out, targets)), x); err != nil {
			t.Fatal(err)
		}
		if share {
			if _, err := ShareMemory(g, out); err != nil {
				t.Fatal(err)
			}
		}
		vm := gorgonia.VM(gorgonia.NewTapeMachine(g))
		if sequence {
			s, err := NewSequence(g, nil)
			if err != nil {
				t.Fatal(err)
			}
			vm = s
		}
		defer vm.Close()
		values := make([]float64, 12)
		for i := range values {
			values[i] = math.Sin(float64(i))
		}
		gorgonia.Let(x, dense(x.Dtype(), []int{4, 3}, values))
		gorgonia.Let(targets, tensor.New(tensor.WithBacking([]int{0, 2, 1, 0})))
		for range 2 {
			vm.Reset()
			if err := vm.RunAll(); err != nil {
				t.Fatal(err)
			}
		}
		grad, err := x.Grad()
		if err != nil {
			t.Fatal(err)
		}
		return grad, out.Value()
	}
	grad, y := run(false, false)
	for _, c := range []struct{ sequence, share bool }{{true, false}, {true, true}, {false, true}} {
		gotGrad, gotY := run(c.sequence, c.share)
		wantBits(t, "the gradient", gotGrad, grad)
		wantBits(t, "the output", gotY, y)
	}
}

// sumGraph is y = a + b, and the mean cross entropy of y.
func sumGraph(t *testing.T) (a, b, y, loss *gorgonia.Node, s *Sequence) {
	t.Helper()
	g := gorgonia.NewGraph()
	a = gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(2, 3), gorgonia.WithName("a"))
	b = gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(2, 3), gorgonia.WithName("b"))
	y = testutil.Must(Add(a, b))
	loss = testutil.Must(CrossEntropy(y, ids(g, "targets", 0, 2)))
	s, err := NewSequence(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a, b, y, loss, s
}

func bind(t *testing.T, n *gorgonia.Node, v gorgonia.Value) {
	t.Helper()
	if err := gorgonia.Let(n, v); err != nil {
		t.Fatal(err)
	}
}

func runSequence(t *testing.T, s *Sequence) {
	t.Helper()
	if err := s.RunAll(); err != nil {
		t.Fatal(err)
	}
}

func TestSequenceReadsInputsAsTheyAre(t *testing.T) {
	a, b, y, loss, s := sumGraph(t)
	first := dense(tensor.Float64, []int{2, 3}, []float64{1, 2, 3, 4, 5, 6})
	ones := dense(tensor.Float64, []int{2, 3}, []float64{1, 1, 1, 1, 1, 1})
	bind(t, a, first)
	bind(t, b, ones)
	runSequence(t, s)
	testutil.Equal(t, "the first run", elementsOf(y.Value()), []float64{2, 3, 4, 5, 6, 7})
	before := elementsOf(loss.Value())[0]

	first.Data().([]float64)[0] = 10
	runSequence(t, s)
	testutil.Equal(t, "an input that was written to", elementsOf(y.Value()), []float64{11, 3, 4, 5, 6, 7})
	if after := elementsOf(loss.Value())[0]; !(after < before) {
		t.Errorf("the loss is %v, was %v: the likely targets have become likelier", after, before)
	}

	wide := dense(tensor.Float64, []int{3, 2}, []float64{1, 2, 3, 4, 5, 6})
	if err := wide.T(); err != nil {
		t.Fatal(err)
	}
	bind(t, a, wide)
	for _, top := range []float64{1, 7} {
		wide.Data().([]float64)[0] = top
		runSequence(t, s)
		testutil.Equal(t, "a transposed input", elementsOf(y.Value()), []float64{top + 1, 4, 6, 3, 5, 7})
	}

	bind(t, a, first)
	bind(t, b, first)
	runSequence(t, s)
	testutil.Equal(t, "one tensor for two inputs", elementsOf(y.Value()), []float64{20, 4, 6, 8, 10, 12})
	if err := first.T(); err != nil { // in place, and back: the memory stays where it is
		t.Fatal(err)
	}
	first.UT()
	runSequence(t, s)
	testutil.Equal(t, "a tensor that was transposed and back", elementsOf(y.Value()), []float64{20, 4, 6, 8, 10, 12})
}

// TestSequenceWritesWhereItIsTold lets a graph add to a tensor in place, and a
// cell replace its state.
func TestSequenceWritesWhereItIsTold(t *testing.T) {
	g := gorgonia.NewGraph()
	sum := dense(tensor.Float64, []int{2, 3}, make([]float64, 6))
	a := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(2, 3), gorgonia.WithName("a"), gorgonia.WithValue(sum))
	b := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(2, 3), gorgonia.WithName("b"))
	y := testutil.Must(Add(a, b))
	copies, err := Fork(y, 2)
	if err != nil {
		t.Fatal(err)
	}
	twice := testutil.Must(Add(copies[0], copies[1]))
	s, err := NewSequence(g, map[*gorgonia.Node]*tensor.Dense{y: sum})
	if err != nil {
		t.Fatal(err)
	}
	if y.Value() != nil {
		t.Error("a value before the first run")
	}
	bind(t, b, dense(tensor.Float64, []int{2, 3}, []float64{1, 2, 3, 4, 5, 6}))
	for range 3 {
		runSequence(t, s)
	}
	testutil.Equal(t, "three runs", elementsOf(sum), []float64{3, 6, 9, 12, 15, 18})
	testutil.Equal(t, "who reads the sum", elementsOf(twice.Value()), []float64{6, 12, 18, 24, 30, 36})
	if y.Value() != gorgonia.Value(sum) {
		t.Error("the node has another value")
	}
}

func TestSequenceCopiesScalars(t *testing.T) {
	g := gorgonia.NewGraph()
	x := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(1, 2), gorgonia.WithName("x"))
	copiesAreOf(t, testutil.Must(CrossEntropy(x, ids(g, "targets", 0))), x)
}

func TestSequenceCopiesInputs(t *testing.T) {
	x := gorgonia.NewMatrix(gorgonia.NewGraph(), tensor.Float64, gorgonia.WithShape(1, 2), gorgonia.WithName("x"))
	copiesAreOf(t, x, x)
}

// copiesAreOf runs a Sequence that forks n, which depends on x (1, 2), for several
// values of x.
func copiesAreOf(t *testing.T, n, x *gorgonia.Node) {
	t.Helper()
	copies := testutil.Must(Fork(n, 2))
	y := testutil.Must(Add(copies[0], copies[1]))
	s := testutil.Must(NewSequence(x.Graph(), nil))
	for _, v := range []float64{1, 5} {
		bind(t, x, dense(tensor.Float64, []int{1, 2}, []float64{v, 2}))
		runSequence(t, s)
		want := elementsOf(n.Value())
		testutil.Equal(t, "a copy", elementsOf(copies[1].Value()), want)
		for i := range want {
			want[i] *= 2
		}
		testutil.Equal(t, "the sum", elementsOf(y.Value()), want)
	}
}

func TestSequenceRefusesMemoryThatDoesNotFit(t *testing.T) {
	g := gorgonia.NewGraph()
	x := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(2, 3), gorgonia.WithName("x"))
	y := testutil.Must(SiLU(x))
	wide := dense(tensor.Float64, []int{3, 2}, make([]float64, 6))
	transposed := wide.Clone().(*tensor.Dense)
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	other := testutil.Must(SiLU(gorgonia.NewMatrix(gorgonia.NewGraph(), tensor.Float64, gorgonia.WithShape(2, 3), gorgonia.WithName("x"))))
	fits := dense(tensor.Float64, []int{2, 3}, make([]float64, 6))
	for name, into := range map[string]map[*gorgonia.Node]*tensor.Dense{
		"another shape":  {y: wide},
		"another type":   {y: dense(tensor.Float32, []int{2, 3}, make([]float64, 6))},
		"column-major":   {y: transposed},
		"no tensor":      {y: nil},
		"an input":       {x: fits},
		"another graph":  {other: fits},
		"the loss alone": {testutil.Must(CrossEntropy(y, ids(g, "targets", 0, 2))): fits},
	} {
		if _, err := NewSequence(g, into); err == nil || !strings.Contains(err.Error(), "cannot write") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSequenceErrorsSayWhatIsWrong(t *testing.T) {
	g := gorgonia.NewGraph()
	x := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(2, 3), gorgonia.WithName("x"))
	gorgonia.Must(gorgonia.Exp(testutil.Must(SiLU(x))))
	if _, err := NewSequence(g, nil); err == nil || !strings.Contains(err.Error(), "another package") {
		t.Errorf("an operation of Gorgonia's own: %v", err)
	}

	g = gorgonia.NewGraph()
	w := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(3, 2), gorgonia.WithName("w"))
	tokens := ids(g, "tokens", 0, 2)
	y := testutil.Must(Embedding(tokens, w))
	s, err := NewSequence(g, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RunAll(); err == nil || !strings.Contains(err.Error(), "input w has no value") {
		t.Errorf("an input without a value: %v", err)
	}
	bind(t, w, dense(tensor.Float64, []int{3, 2}, []float64{1, 2, 3, 4, 5, 6}))
	tokens.Value().Data().([]int)[1] = 3
	if err := s.RunAll(); err == nil || !strings.Contains(err.Error(), "running embedding") || !strings.Contains(err.Error(), "vocabulary of 3") {
		t.Errorf("an id outside the vocabulary: %v", err)
	}
	tokens.Value().Data().([]int)[1] = 1
	runSequence(t, s)
	testutil.Equal(t, "after the errors", elementsOf(y.Value()), []float64{1, 2, 3, 4})
}
