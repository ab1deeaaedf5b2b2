package nodes

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func matrix(g *gorgonia.ExprGraph, name string, shape ...int) *gorgonia.Node {
	if name == "" {
		return gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(shape...))
	}
	return gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(shape...), gorgonia.WithName(name))
}

func TestCheckPassesASoundGraph(t *testing.T) {
	g := gorgonia.NewGraph()
	y := gorgonia.Must(Linear(matrix(g, "x", 2, 3), matrix(g, "w", 4, 3), nil))
	gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.Square(y))))
	if err := Check(g); err != nil {
		t.Error(err)
	}
}

func TestCheckReportsAnUnnamedInput(t *testing.T) {
	g := gorgonia.NewGraph()
	gorgonia.Must(Add(matrix(g, "", 2, 3), matrix(g, "b", 2, 3)))
	testutil.WantError(t, Check(g), "(2, 3)", "name")
}

func TestCheckReportsTwoInputsOfOneName(t *testing.T) {
	g := gorgonia.NewGraph()
	gorgonia.Must(Linear(matrix(g, "layer.weight", 2, 3), matrix(g, "layer.weight", 4, 3), nil))
	testutil.WantError(t, Check(g), "layer.weight")
}

func TestCheckReportsEverythingItFinds(t *testing.T) {
	g := gorgonia.NewGraph()
	gorgonia.Must(Linear(matrix(g, "twice", 2, 3), matrix(g, "twice", 4, 3), nil))
	gorgonia.Must(Tanh(matrix(g, "", 7, 3)))
	testutil.WantError(t, Check(g), "twice", "(7, 3)")
}

// colliding are two names for which Gorgonia gives 2×3 matrices of float64 one
// hash; they were found by search.
var colliding = [2]string{"blocks.256725.weight", "blocks.52491.weight"}

func collidingInputs(t *testing.T) (a, b *gorgonia.Node) {
	t.Helper()
	g := gorgonia.NewGraph()
	a, b = matrix(g, colliding[0], 2, 3), matrix(g, colliding[1], 2, 3)
	if a == b || a.Hashcode() != b.Hashcode() {
		t.Fatalf("%q and %q no longer collide: Gorgonia hashes in another way", a.Name(), b.Name())
	}
	return a, b
}

func TestCheckReportsCollidingHashes(t *testing.T) {
	a, b := collidingInputs(t)
	gorgonia.Must(Add(a, b))
	testutil.WantError(t, Check(a.Graph()), colliding[0], colliding[1], "hash")
}

// The graph itself hands out the first node for the second: asking for it is the
// only moment to notice.
func TestOperationsOnCollidingInputsAreRefused(t *testing.T) {
	a, b := collidingInputs(t)
	if _, err := Tanh(a); err != nil {
		t.Fatal(err)
	}
	_, err := Tanh(b)
	testutil.WantError(t, err, "collides")
}

func TestTheSameOperationTwiceIsOneNode(t *testing.T) {
	g := gorgonia.NewGraph()
	x := matrix(g, "x", 2, 3)
	a, b := gorgonia.Must(SiLU(x)), gorgonia.Must(SiLU(x))
	if a != b {
		t.Error("two nodes for one operation")
	}
	if c := gorgonia.Must(Activate("relu", x)); c == a {
		t.Error("two activations are one node")
	}
}
