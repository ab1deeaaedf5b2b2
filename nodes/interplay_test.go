package nodes

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// columns returns columns lo…hi−1 of a matrix: a view that is not contiguous.
func columns(x *gorgonia.Node, lo, hi int) *gorgonia.Node {
	return testutil.Must(gorgonia.Slice(x, nil, gorgonia.S(lo, hi)))
}

// Gorgonia's element-wise operations overwrite an input that has no later
// reader. The results of this package's operations share one buffer that the
// backward pass reads again: no part of it may be lost.
func TestResultsThatGorgoniaOverwritesDoNotCorruptTheOthers(t *testing.T) {
	cell := []input{in("q", 10, 6), in("k", 10, 6), in("v", 10, 4), in("i", 10, 2), in("f", 10, 2)}
	scan := []input{in("i", 10, 6), in("f", 10, 6), in("z", 10, 6), in("o", 10, 6), in("r", 2, 12, 3), in("bias", 24)}
	mlstm := func(form Form, x []*gorgonia.Node) (*gorgonia.Node, MLSTMState) {
		h, st, err := MLSTM(MLSTMConfig{Batch: 2, NumHeads: 2, Form: form, Chunk: 3, Eps: 0.01}, x[0], x[1], x[2], x[3], x[4], nil)
		if err != nil {
			t.Fatal(err)
		}
		return h, st
	}
	slstm := func(x []*gorgonia.Node) (y, st *gorgonia.Node) {
		y, st, err := SLSTM(SLSTMConfig{Batch: 2, NumHeads: 2}, x[0], x[1], x[2], x[3], x[4], x[5], nil)
		if err != nil {
			t.Fatal(err)
		}
		return y, st
	}
	cs := map[string]graphCase{
		"sLSTM": {scan, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			y, st := slstm(x)
			return []*gorgonia.Node{testutil.Must(gorgonia.Tanh(y)), testutil.Must(gorgonia.Neg(st))}, nil
		}},
		"sLSTM with residual": {scan, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			y, st := slstm(x)
			return []*gorgonia.Node{testutil.Must(gorgonia.Add(y, x[2])), testutil.Must(gorgonia.Sigmoid(st))}, nil
		}},
		"sLSTM without state": {scan, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			y, _ := slstm(x)
			return one(gorgonia.Tanh(y))
		}},
		"sLSTM's state alone": {scan, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			_, st := slstm(x)
			return one(gorgonia.Tanh(st))
		}},
		"LinearSplit": {[]input{in("x", 5, 3), in("w", 6, 3), in("b", 6)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			ys, err := LinearSplit(x[0], x[1], x[2], 2, 2, 2)
			if err != nil {
				return nil, err
			}
			return []*gorgonia.Node{testutil.Must(gorgonia.Tanh(ys[0])), testutil.Must(gorgonia.Add(ys[1], ys[2]))}, nil
		}},
		"CausalConv": {[]input{in("x", 10, 2), in("w", 2, 1, 4), in("b", 2)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			y, window, err := CausalConvSiLU(2, x[0], x[1], x[2], nil)
			if err != nil {
				return nil, err
			}
			return []*gorgonia.Node{testutil.Must(gorgonia.Tanh(y)), testutil.Must(gorgonia.Square(window))}, nil
		}},
		"Norm and its input": {[]input{in("x", 4, 6), in("w", 6)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			u := testutil.Must(gorgonia.Tanh(x[0]))
			y, err := Norm(NormConfig{Eps: 1e-5}, u, x[1])
			if err != nil {
				return nil, err
			}
			return one(gorgonia.Add(u, testutil.Must(gorgonia.Tanh(y))))
		}},
		"Add and SiLU": {[]input{in("a", 4, 3), in("b", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			y := testutil.Must(SiLU(testutil.Must(Add(x[0], x[1]))))
			return one(gorgonia.Exp(testutil.Must(gorgonia.HadamardProd(y, x[0]))))
		}},
		"operations that read their own result": {[]input{in("a", 4, 3), in("b", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return []*gorgonia.Node{testutil.Must(gorgonia.Tanh(testutil.Must(SoftCap(x[0], 2)))), testutil.Must(gorgonia.Tanh(testutil.Must(ExpGate(x[0], x[1]))))}, nil
		}},
		"a result used three times": {scan, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			y, st := slstm(x)
			sum := testutil.Must(gorgonia.Add(testutil.Must(gorgonia.Tanh(y)), testutil.Must(gorgonia.HadamardProd(y, x[3]))))
			return []*gorgonia.Node{sum, y, testutil.Must(gorgonia.Tanh(st))}, nil
		}},
	}
	for name, form := range map[string]Form{"chunkwise": Chunkwise, "parallel": Parallel, "recurrent": Recurrent} {
		cs["mLSTM "+name] = graphCase{cell, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			h, st := mlstm(form, x)
			return []*gorgonia.Node{testutil.Must(gorgonia.Tanh(h)), testutil.Must(gorgonia.Neg(st.C)), testutil.Must(gorgonia.Square(st.N)), testutil.Must(gorgonia.Tanh(st.M))}, nil
		}}
		cs["mLSTM with residual, "+name] = graphCase{cell, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			h, st := mlstm(form, x)
			return []*gorgonia.Node{testutil.Must(gorgonia.Add(h, x[2])), testutil.Must(gorgonia.Tanh(st.N))}, nil
		}}
	}
	for name, c := range cs {
		t.Run(name, c.check)
	}
}

// Slices and transposes are views that are not contiguous or not row-major.
func TestViewsAsInputs(t *testing.T) {
	for name, c := range map[string]graphCase{
		"columns of one projection as q, k, v": {[]input{in("x", 6, 12), in("i", 6, 2), in("f", 6, 2)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return mlstmOut(MLSTM(MLSTMConfig{Batch: 2, NumHeads: 2, Eps: 0.01}, columns(x[0], 0, 4), columns(x[0], 4, 8), columns(x[0], 8, 12), x[1], x[2], nil))
		}},
		"columns of one projection as gates": {[]input{in("x", 4, 8), in("r", 1, 8, 2), in("bias", 8)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return two(SLSTM(SLSTMConfig{Batch: 2, NumHeads: 1}, columns(x[0], 0, 2), columns(x[0], 2, 4), columns(x[0], 4, 6), columns(x[0], 6, 8), x[1], x[2], nil))
		}},
		"a transposed weight": {[]input{in("x", 5, 3), in("w", 3, 4)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Linear(x[0], testutil.Must(gorgonia.Transpose(x[1])), nil))
		}},
		"a transposed input": {[]input{in("x", 3, 5), in("w", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Linear(testutil.Must(gorgonia.Transpose(x[0])), x[1], nil))
		}},
		"a transposed tensor": {[]input{in("x", 4, 6), in("w", 3, 2, 4)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(HeadwiseLinear(x[0], testutil.Must(gorgonia.Transpose(x[1], 1, 2, 0)), nil))
		}},
		"rows": {[]input{in("x", 6, 4), in("w", 4)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Norm(NormConfig{Groups: 2, Eps: 1e-5}, testutil.Must(gorgonia.Slice(x[0], gorgonia.S(1, 4))), x[1]))
		}},
		"a reshaped input": {[]input{in("x", 3, 8), in("w", 2, 4)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Linear(testutil.Must(gorgonia.Reshape(x[0], tensor.Shape{6, 4})), x[1], nil))
		}},
		"element-wise on columns": {[]input{in("x", 5, 6)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(GatedActivation("gelu", columns(x[0], 0, 3), columns(x[0], 3, 6)))
		}},
		"a convolution of columns": {[]input{in("x", 8, 5), in("w", 3, 1, 2), in("b", 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return two(CausalConv(2, columns(x[0], 1, 4), x[1], x[2], nil))
		}},
		"columns of a result": {[]input{in("x", 5, 3), in("w", 6, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			y := testutil.Must(Linear(x[0], x[1], nil))
			return one(SkipGate(columns(y, 0, 2), columns(y, 2, 4), testutil.Must(gorgonia.Slice(x[1], gorgonia.S(0), gorgonia.S(0, 2))), columns(y, 4, 6)))
		}},
	} {
		t.Run(name, c.check)
	}
}

// stepper is a small model with a loss, in a graph of its own, on parameters that
// others may share.
type stepper struct {
	params gorgonia.Nodes
	loss   *gorgonia.Node
	vm     gorgonia.VM
}

// newStepper runs an sLSTM over steps steps; its parameters are r and bias.
func newStepper(t *testing.T, steps int, r, bias *tensor.Dense, opts func(params gorgonia.Nodes) []gorgonia.VMOpt) *stepper {
	t.Helper()
	g := gorgonia.NewGraph()
	bound := func(name string, v *tensor.Dense) *gorgonia.Node {
		return gorgonia.NewTensor(g, v.Dtype(), v.Dims(), gorgonia.WithShape(v.Shape()...), gorgonia.WithName(name), gorgonia.WithValue(v))
	}
	s := &stepper{params: gorgonia.Nodes{bound("r", r), bound("bias", bias)}}
	c := graphCase{inputs: []input{in("i", 2*steps, 4), in("f", 2*steps, 4), in("z", 2*steps, 4), in("o", 2*steps, 4)}}
	var x gorgonia.Nodes
	for k, v := range c.values(4) {
		x = append(x, bound(c.inputs[k].name, dense(tensor.Float64, c.inputs[k].shape, v)))
	}
	y, _, err := SLSTM(SLSTMConfig{Batch: 2, NumHeads: 2}, x[0], x[1], x[2], x[3], s.params[0], s.params[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	s.loss = testutil.Must(gorgonia.Sum(testutil.Must(gorgonia.Square(y))))
	if _, err := gorgonia.Grad(s.loss, s.params...); err != nil {
		t.Fatal(err)
	}
	if opts == nil {
		s.vm = gorgonia.NewTapeMachine(g)
	} else {
		s.vm = gorgonia.NewTapeMachine(g, opts(s.params)...)
	}
	t.Cleanup(func() { s.vm.Close() })
	return s
}

// run returns the loss and the gradients.
func (s *stepper) run(t *testing.T) (all []float64) {
	t.Helper()
	s.vm.Reset()
	if err := s.vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	all = elementsOf(s.loss.Value())
	for _, p := range s.params {
		g, err := p.Grad()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, elementsOf(g)...)
	}
	return all
}

// stepperParams are parameters for newStepper, the same in every call.
func stepperParams() (r, bias *tensor.Dense) {
	c := graphCase{inputs: []input{in("r", 2, 8, 2), in("bias", 16)}}
	v := c.values(8)
	return dense(tensor.Float64, c.inputs[0].shape, v[0]), dense(tensor.Float64, c.inputs[1].shape, v[1])
}

func dual(params gorgonia.Nodes) []gorgonia.VMOpt {
	return []gorgonia.VMOpt{gorgonia.BindDualValues(params...)}
}

func TestBoundDualValuesAreTheGradients(t *testing.T) {
	r, bias := stepperParams()
	want := newStepper(t, 5, r, bias, nil).run(t)
	s := newStepper(t, 5, r, bias, dual)
	wantClose(t, "the first run", s.run(t), want, 1e-15)
	// Gorgonia adds up until a solver sets the gradient to zero.
	twice := slices.Clone(want)
	for k := range twice[1:] {
		twice[1+k] *= 2
	}
	wantClose(t, "the second run", s.run(t), twice, 1e-15)
}

func TestSolversTrainWithAndWithoutDualValues(t *testing.T) {
	var want []float64
	for name, opts := range map[string]func(gorgonia.Nodes) []gorgonia.VMOpt{"plain": nil, "dual values": dual} {
		r, bias := stepperParams()
		s := newStepper(t, 5, r, bias, opts)
		solver := gorgonia.NewVanillaSolver(gorgonia.WithLearnRate(0.01))
		var losses []float64
		for range 4 {
			losses = append(losses, s.run(t)[0])
			if err := solver.Step(gorgonia.NodesToValueGrads(s.params)); err != nil {
				t.Fatal(err)
			}
		}
		for k := range losses[1:] {
			if losses[k+1] >= losses[k] {
				t.Errorf("%s: the loss does not fall: %v", name, losses)
			}
		}
		if want == nil {
			want = losses
		}
		wantClose(t, fmt.Sprint("losses with ", name), losses, want, 1e-14)
	}
}

func TestGraphsThatShareParametersRunByTurns(t *testing.T) {
	r, bias := stepperParams()
	long, short := newStepper(t, 9, r, bias, nil), newStepper(t, 3, r, bias, nil)
	a, b := long.run(t), short.run(t)
	if !slices.Equal(long.run(t), a) || !slices.Equal(short.run(t), b) {
		t.Error("the run of one graph changes the other's results")
	}
	r.Data().([]float64)[3] += 0.5
	r2, bias2 := stepperParams()
	r2.Data().([]float64)[3] += 0.5
	if !slices.Equal(long.run(t), newStepper(t, 9, r2, bias2, nil).run(t)) || !slices.Equal(short.run(t), newStepper(t, 3, r2, bias2, nil).run(t)) {
		t.Error("a parameter that was changed in place is not seen by both graphs")
	}
}

// A value that a graph is given may be a view of another or column-major.
func TestViewsAsValuesOfInputs(t *testing.T) {
	c := graphCase{[]input{in("x", 3, 4), in("w", 2, 4)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		return one(Linear(x[0], x[1], nil))
	}}
	values := c.values(1)
	want := outputs(t, c, values)[0]
	wide := tensor.New(tensor.WithShape(3, 6), tensor.Of(tensor.Float64))
	tall := tensor.New(tensor.WithShape(4, 3), tensor.Of(tensor.Float64))
	fortran := tensor.New(tensor.WithShape(3, 4), tensor.Of(tensor.Float64), tensor.AsFortran(nil))
	for k, v := range values[0] {
		for _, err := range []error{wide.SetAt(v, k/4, 1+k%4), tall.SetAt(v, k%4, k/4), fortran.SetAt(v, k/4, k%4)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	slice, err := wide.Slice(nil, gorgonia.S(1, 5))
	if err != nil {
		t.Fatal(err)
	}
	if err := tall.T(); err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]tensor.Tensor{"slice": slice, "transposed": tall, "column-major": fortran} {
		g := gorgonia.NewGraph()
		x, w := matrix(g, "x", 3, 4), matrix(g, "w", 2, 4)
		y := testutil.Must(Linear(x, w, nil))
		for n, v := range map[*gorgonia.Node]gorgonia.Value{x: v, w: dense(tensor.Float64, []int{2, 4}, values[1])} {
			if err := gorgonia.Let(n, v); err != nil {
				t.Fatal(err)
			}
		}
		m := gorgonia.NewTapeMachine(g)
		defer m.Close()
		if err := m.RunAll(); err != nil {
			t.Fatal(err)
		}
		wantClose(t, name, elementsOf(y.Value()), want, 1e-15)
	}
}

func TestColumnOfAMatrixAsAVector(t *testing.T) {
	table := tensor.New(tensor.WithShape(3, 2), tensor.WithBacking([]int{9, 1, 9, 0, 9, 2}))
	column, err := table.Slice(nil, gorgonia.S(1))
	if err != nil {
		t.Fatal(err)
	}
	g := gorgonia.NewGraph()
	index := gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(3), gorgonia.WithName("ids"), gorgonia.WithValue(column))
	w := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(3, 1), gorgonia.WithName("w"), gorgonia.WithValue(dense(tensor.Float64, []int{3, 1}, []float64{10, 11, 12})))
	y := testutil.Must(Embedding(index, w))
	m := gorgonia.NewTapeMachine(g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	wantClose(t, "rows", elementsOf(y.Value()), []float64{11, 10, 12}, 0)
}
