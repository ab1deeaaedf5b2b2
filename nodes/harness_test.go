package nodes

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// input is a float input of a tested graph.
type input struct {
	name  string
	shape []int
	scale float64
	shift float64
	fixed bool // no gradient is asked for
}

func in(name string, shape ...int) input { return input{name: name, shape: shape, scale: 1} }

func (i input) times(scale float64) input { i.scale = scale; return i }
func (i input) plus(shift float64) input  { i.shift = shift; return i }
func (i input) still() input              { i.fixed = true; return i }

// graphCase builds results from inputs; all results enter the loss.
type graphCase struct {
	inputs []input
	build  func(x []*gorgonia.Node) ([]*gorgonia.Node, error)
}

// values draws the inputs, and the weights of the results in the loss, from a
// seed: the same numbers in every element type.
func (c graphCase) values(seed uint64) [][]float64 {
	r := rand.New(rand.NewPCG(seed, 3))
	vs := make([][]float64, len(c.inputs))
	for i, in := range c.inputs {
		vs[i] = make([]float64, tensor.Shape(in.shape).TotalSize())
		for j := range vs[i] {
			vs[i][j] = float64(float32(r.NormFloat64()*in.scale + in.shift))
		}
	}
	return vs
}

func dense(dt tensor.Dtype, shape []int, v []float64) *tensor.Dense {
	x := tensor.New(tensor.Of(dt), tensor.WithShape(shape...))
	floats.Of(x.Data()).Write(v)
	return x
}

func elementsOf(v gorgonia.Value) []float64 { return floats.Of(v.Data()).Float64s() }

// compiled is a case as a compiled graph.
type compiled struct {
	c       graphCase
	dt      tensor.Dtype
	xs      gorgonia.Nodes
	results []gorgonia.Value
	loss    gorgonia.Value
	grads   gorgonia.Nodes
	machine gorgonia.VM
}

func compile(t testing.TB, c graphCase, dt tensor.Dtype) *compiled {
	t.Helper()
	m := &compiled{c: c, dt: dt}
	g := gorgonia.NewGraph()
	var wrt gorgonia.Nodes
	for _, in := range c.inputs {
		x := gorgonia.NewTensor(g, dt, len(in.shape), gorgonia.WithShape(in.shape...), gorgonia.WithName(in.name))
		m.xs = append(m.xs, x)
		if !in.fixed {
			wrt = append(wrt, x)
		}
	}
	ys, err := c.build(m.xs)
	if err != nil {
		t.Fatal(err)
	}
	m.results = make([]gorgonia.Value, len(ys))
	var loss *gorgonia.Node
	r := rand.New(rand.NewPCG(9, 9))
	for i, y := range ys {
		gorgonia.Read(y, &m.results[i])
		term := y
		if !y.IsScalar() {
			w := make([]float64, y.Shape().TotalSize())
			for j := range w {
				w[j] = float64(float32(r.NormFloat64()))
			}
			weight := gorgonia.NewTensor(g, dt, len(y.Shape()), gorgonia.WithShape(y.Shape()...), gorgonia.WithName(fmt.Sprintf("weight%d", i)), gorgonia.WithValue(dense(dt, y.Shape(), w)))
			term = gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.HadamardProd(y, weight))))
		}
		if loss == nil {
			loss = term
		} else {
			loss = gorgonia.Must(gorgonia.Add(loss, term))
		}
	}
	gorgonia.Read(loss, &m.loss)
	if m.grads, err = gorgonia.Grad(loss, wrt...); err != nil {
		t.Fatal(err)
	}
	if err := Check(g); err != nil {
		t.Fatal(err)
	}
	m.machine = gorgonia.NewTapeMachine(g)
	t.Cleanup(func() { m.machine.Close() })
	return m
}

func (m *compiled) run(t testing.TB, values [][]float64) float64 {
	t.Helper()
	for i, x := range m.xs {
		if err := gorgonia.Let(x, dense(m.dt, m.c.inputs[i].shape, values[i])); err != nil {
			t.Fatal(err)
		}
	}
	m.machine.Reset()
	if err := m.machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	return elementsOf(m.loss)[0]
}

// gradients returns the gradients of the last run by input, nil for fixed ones.
func (m *compiled) gradients() [][]float64 {
	out := make([][]float64, len(m.xs))
	k := 0
	for i, in := range m.c.inputs {
		if !in.fixed {
			out[i] = elementsOf(m.grads[k].Value())
			k++
		}
	}
	return out
}

// apart is the largest difference relative to the largest value, which counts
// as at least 0.01: inputs and weights are of order one, a gradient far below it
// is zero.
func apart(a, b []float64) float64 { return golden.Apart(a, b, 0.01) }

// check compares every gradient with central differences in float64, and
// float32 with float64.
func (c graphCase) check(t *testing.T) {
	t.Helper()
	m := compile(t, c, tensor.Float64)
	values := c.values(1)
	m.run(t, values)
	got := m.gradients()
	var results [][]float64
	for _, v := range m.results {
		results = append(results, elementsOf(v))
	}
	for i, in := range c.inputs {
		if in.fixed {
			continue
		}
		want := make([]float64, len(values[i]))
		for j := range want {
			const h = 1e-4
			at := func(d float64) float64 {
				keep := values[i][j]
				defer func() { values[i][j] = keep }()
				values[i][j] = keep + d
				return m.run(t, values)
			}
			want[j] = (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
		}
		if d := apart(got[i], want); d > 1e-7 {
			t.Errorf("gradient of %s is %.3g away from central differences\n got %.5v\nwant %.5v", in.name, d, got[i], want)
		}
	}
	m32 := compile(t, c, tensor.Float32)
	m32.run(t, values)
	for i, v := range m32.results {
		if d := apart(elementsOf(v), results[i]); d > 1e-4 {
			t.Errorf("float32 result %d is %.3g away from float64", i, d)
		}
	}
	for i, g := range m32.gradients() {
		if d := apart(g, got[i]); d > 1e-3 {
			t.Errorf("float32 gradient of %s is %.3g away from float64", c.inputs[i].name, d)
		}
	}
}

func one(n *gorgonia.Node, err error) ([]*gorgonia.Node, error) { return []*gorgonia.Node{n}, err }

func two(a, b *gorgonia.Node, err error) ([]*gorgonia.Node, error) {
	return []*gorgonia.Node{a, b}, err
}
