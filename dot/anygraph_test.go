package dot_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/dot"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// mlp is a plain Gorgonia graph with its gradients, of which only parameters and
// inputs have names.
func mlp(t testing.TB, names [3]string) *gorgonia.ExprGraph {
	t.Helper()
	g := gorgonia.NewGraph()
	x := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(2, 3), gorgonia.WithName(names[0]))
	w1 := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(3, 4), gorgonia.WithName(names[1]), gorgonia.WithInit(gorgonia.GlorotU(1)))
	w2 := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(4, 1), gorgonia.WithName(names[2]), gorgonia.WithInit(gorgonia.GlorotU(1)))
	h := gorgonia.Must(gorgonia.Rectify(gorgonia.Must(gorgonia.Mul(x, w1))))
	y := gorgonia.Must(gorgonia.Add(gorgonia.Must(gorgonia.Mul(h, w2)), gorgonia.NewConstant(float32(1))))
	loss := gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(y))))
	if _, err := gorgonia.Grad(loss, w1, w2); err != nil {
		t.Fatal(err)
	}
	return g
}

// TestPlainGraph: kinds are told apart, forward from backward too, and operations
// without a name are drawn beside their parameters.
func TestPlainGraph(t *testing.T) {
	g := mlp(t, [3]string{"x", "hidden.w", "output.w"})
	d := parse(t, marshal(t, g, dot.Elide()))
	looks := map[string]bool{}
	for _, text := range []string{"x", "w", "A × B", "+ 1"} {
		_, n := d.labelled(t, text)
		looks[n.attrs] = true
	}
	if len(looks) != 3 {
		t.Errorf("an input, a parameter and two operations look %d ways", len(looks))
	}
	for _, box := range []string{"hidden", "output", "∂ hidden", "∂ output"} {
		if !slices.Contains(d.boxes, box) {
			t.Errorf("no box %s in %q", box, d.boxes)
		}
	}
	if d := parse(t, marshal(t, g, dot.ForwardOnly())); len(d.nodes) >= len(g.AllNodes()) || slices.Contains(d.boxes, "∂ hidden") {
		t.Error("the backward pass is not left out")
	}
	d = parse(t, marshal(t, g, dot.Depth(1), dot.Elide(), dot.ForwardOnly()))
	if _, n := d.labelled(t, "hidden"); !strings.Contains(n.label, "12 parameters") {
		t.Errorf("the hidden layer is %q", n.label)
	}
	d = parse(t, marshal(t, g, dot.Parameters(g.ByName("x")...)))
	_, x := d.labelled(t, "x")
	_, w := d.labelled(t, "w")
	if !strings.Contains(x.attrs, "#fdf4e3") || strings.Contains(w.attrs, "#fdf4e3") {
		t.Error("Parameters does not say which inputs are parameters")
	}
}

// TestNamesThatNeedCare: names can be anything, and none breaks the text.
func TestNamesThatNeedCare(t *testing.T) {
	for _, name := range []string{
		`a "quoted" name`, `back\slash\`, `\n\N\G`, "<b>&amp;&lt;</b>", "Überschrift.重み.ω", "line\nbreak\ttab\x00nul", "\xff\xfe", "..", ".w", "w.", "a..b",
		"1.2.3", "}", "->", "node", strings.Repeat("long", 99), "n1", "cluster_0", "emoji.🙂",
	} {
		g := mlp(t, [3]string{"x", name, name + ".w"})
		for _, opts := range [][]dot.Option{{}, {dot.Depth(1)}, {dot.Depth(9), dot.Elide()}, {dot.ForwardOnly()}} {
			if d := parse(t, marshal(t, g, opts...)); len(d.nodes) < 3 {
				t.Errorf("%q: %d nodes are drawn", name, len(d.nodes))
			}
		}
	}
	d := parse(t, marshal(t, mlp(t, [3]string{`a "quoted" <&amp;> name`, "w", "v"})))
	d.labelled(t, `a "quoted" <&amp;> name`)
}

// TestSmallGraphs: empty ones, scalars, matrices of one element, inputs without a
// name, one input read twice.
func TestSmallGraphs(t *testing.T) {
	for name, c := range map[string]struct {
		build func(g *gorgonia.ExprGraph)
		nodes int
		texts []string
	}{
		"empty": {func(*gorgonia.ExprGraph) {}, 0, nil},
		"one node": {func(g *gorgonia.ExprGraph) {
			gorgonia.NewScalar(g, tensor.Float64, gorgonia.WithName("x"))
		}, 1, []string{"x", "scalar float64"}},
		"scalars": {func(g *gorgonia.ExprGraph) {
			x := gorgonia.NewScalar(g, tensor.Float32, gorgonia.WithName("x"))
			gorgonia.Must(gorgonia.Exp(gorgonia.Must(gorgonia.Neg(x))))
		}, 3, []string{"−x", "exp", "scalar"}},
		"1×1": {func(g *gorgonia.ExprGraph) {
			x := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(1, 1), gorgonia.WithName("x"))
			gorgonia.Must(gorgonia.Mul(x, x))
		}, 2, []string{"1×1", "A × B"}},
		"unnamed": {func(g *gorgonia.ExprGraph) {
			x := gorgonia.NewVector(g, tensor.Int, gorgonia.WithShape(5))
			_ = x
		}, 1, []string{"unnamed", "5 int"}},
		"constants": {func(g *gorgonia.ExprGraph) {
			x := gorgonia.NewScalar(g, tensor.Float64, gorgonia.WithName("x"))
			gorgonia.Must(gorgonia.Sub(gorgonia.NewConstant(2.5), x))
		}, 3, []string{"2.5", "−"}},
	} {
		g := gorgonia.NewGraph()
		c.build(g)
		d := parse(t, marshal(t, g))
		if len(d.nodes) != c.nodes {
			t.Errorf("%s: %d nodes are drawn of %d", name, len(d.nodes), c.nodes)
		}
		for _, text := range c.texts {
			d.labelled(t, text)
		}
		parse(t, marshal(t, g, dot.Elide(), dot.Depth(1)))
	}
}

// foreign are graphs of Gorgonia's own operations, each up to a loss and what it is
// differentiated by.
func foreign() map[string]func(g *gorgonia.ExprGraph) (loss *gorgonia.Node, by gorgonia.Nodes) {
	matrix := func(g *gorgonia.ExprGraph, name string, shape ...int) *gorgonia.Node {
		return gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(shape...), gorgonia.WithName(name), gorgonia.WithInit(gorgonia.GlorotU(1)))
	}
	must := gorgonia.Must
	mean := func(x *gorgonia.Node) *gorgonia.Node { return must(gorgonia.Mean(x)) }
	unary := func(f func(*gorgonia.Node) (*gorgonia.Node, error)) func(g *gorgonia.ExprGraph) (*gorgonia.Node, gorgonia.Nodes) {
		return func(g *gorgonia.ExprGraph) (*gorgonia.Node, gorgonia.Nodes) {
			x, w := matrix(g, "x", 2, 3), matrix(g, "w", 3, 4)
			return mean(must(f(must(gorgonia.Mul(x, w))))), gorgonia.Nodes{w}
		}
	}
	binary := func(f func(a, b *gorgonia.Node) (*gorgonia.Node, error)) func(g *gorgonia.ExprGraph) (*gorgonia.Node, gorgonia.Nodes) {
		return func(g *gorgonia.ExprGraph) (*gorgonia.Node, gorgonia.Nodes) {
			x, w, y := matrix(g, "x", 2, 3), matrix(g, "w", 3, 4), matrix(g, "y", 2, 4)
			return mean(must(f(must(gorgonia.Mul(x, w)), y))), gorgonia.Nodes{w}
		}
	}
	return map[string]func(g *gorgonia.ExprGraph) (*gorgonia.Node, gorgonia.Nodes){
		"tanh": unary(gorgonia.Tanh), "sigmoid": unary(gorgonia.Sigmoid), "exp": unary(gorgonia.Exp), "log": unary(gorgonia.Log), "square": unary(gorgonia.Square),
		"sqrt": unary(gorgonia.Sqrt), "rectify": unary(gorgonia.Rectify), "abs": unary(gorgonia.Abs), "softplus": unary(gorgonia.Softplus), "inverse": unary(gorgonia.Inverse),
		"softmax":  unary(func(x *gorgonia.Node) (*gorgonia.Node, error) { return gorgonia.SoftMax(x) }),
		"hadamard": binary(gorgonia.HadamardProd), "quotient": binary(gorgonia.HadamardDiv), "difference": binary(gorgonia.Sub), "sum": binary(gorgonia.Add), "power": binary(gorgonia.Pow),
		"logistic regression": func(g *gorgonia.ExprGraph) (*gorgonia.Node, gorgonia.Nodes) {
			x, y := matrix(g, "x", 8, 3), gorgonia.NewVector(g, tensor.Float32, gorgonia.WithShape(8), gorgonia.WithName("y"))
			w := gorgonia.NewVector(g, tensor.Float32, gorgonia.WithShape(3), gorgonia.WithName("w"), gorgonia.WithInit(gorgonia.Zeroes()))
			p := must(gorgonia.Sigmoid(must(gorgonia.Mul(x, w))))
			one := gorgonia.NewConstant(float32(1))
			a := must(gorgonia.HadamardProd(must(gorgonia.Neg(y)), must(gorgonia.Log(p))))
			b := must(gorgonia.HadamardProd(must(gorgonia.Sub(one, y)), must(gorgonia.Log(must(gorgonia.Sub(one, p))))))
			return mean(must(gorgonia.Sub(a, b))), gorgonia.Nodes{w}
		},
		"a slice, twice": func(g *gorgonia.ExprGraph) (*gorgonia.Node, gorgonia.Nodes) {
			w := matrix(g, "w", 4, 4)
			a, b := must(gorgonia.Slice(w, gorgonia.S(0))), must(gorgonia.Slice(w, gorgonia.S(1)))
			return must(gorgonia.Sum(must(gorgonia.Square(must(gorgonia.Sub(a, b)))))), gorgonia.Nodes{w}
		},
	}
}

// TestForeignGradientsAreTold from the forward pass: what gorgonia.Grad adds,
// all of it and nothing else, whether anybody reads it or not.
func TestForeignGradientsAreTold(t *testing.T) {
	for name, build := range foreign() {
		for _, named := range []bool{false, true} {
			g := gorgonia.NewGraph()
			loss, by := build(g)
			if named {
				gorgonia.WithName("loss")(loss)
			}
			before := len(g.AllNodes())
			if _, err := gorgonia.Grad(loss, by...); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			added := len(g.AllNodes())
			gorgonia.Must(gorgonia.Neg(loss)) // the graph is extended
			before, added = before+1, added+1
			if d := parse(t, marshal(t, g)); len(d.nodes) != added {
				t.Errorf("%s: of %d nodes %d are drawn", name, added, len(d.nodes))
			}
			forward := parse(t, marshal(t, g, dot.ForwardOnly()))
			if len(forward.nodes) != before {
				t.Errorf("%s: the forward pass has %d nodes, %d are drawn: %q", name, before, len(forward.nodes), forward.labels())
			}
		}
	}
}
