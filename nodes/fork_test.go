package nodes

import (
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestWhatIsForkedMayBeReadByGorgonia: its operations overwrite an input that
// appears to have no later reader, and the readers of the copies come later.
func TestWhatIsForkedMayBeReadByGorgonia(t *testing.T) {
	for name, c := range map[string]graphCase{
		"once": {[]input{in("x", 4, 3), in("w", 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			u := testutil.Must(SiLU(x[0]))
			us := split(Fork(u, 2))
			z := testutil.Must(gorgonia.Add(u, x[0]))
			y := testutil.Must(Norm(NormConfig{Eps: 0.1}, us[0], x[1]))
			return []*gorgonia.Node{z, testutil.Must(Add(y, us[1]))}, nil
		}},
		"twice": {[]input{in("x", 4, 3), in("w", 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			u := testutil.Must(SiLU(x[0]))
			us := split(Fork(u, 2))
			more := split(Fork(us[0], 2))
			z := testutil.Must(gorgonia.Add(u, x[0]))
			y := testutil.Must(Norm(NormConfig{Eps: 0.1}, more[0], x[1]))
			return []*gorgonia.Node{z, testutil.Must(Add(y, more[1])), testutil.Must(SiLU(us[1]))}, nil
		}},
	} {
		t.Run(name, c.check)
	}
}

func TestCheckReportsACopyThatGorgoniaReads(t *testing.T) {
	g := gorgonia.NewGraph()
	x := matrix(g, "x", 2, 3)
	xs := split(Fork(x, 2))
	testutil.Must(Add(xs[0], xs[1]))
	if err := Check(g); err != nil {
		t.Fatal(err)
	}
	testutil.Must(gorgonia.Tanh(xs[1]))
	testutil.WantError(t, Check(g), "tanh", "Fork")
}

// TestGradientsOfAForkAreAddedUpAtOnce: Gorgonia adds single numbers at most.
func TestGradientsOfAForkAreAddedUpAtOnce(t *testing.T) {
	c := graphCase{[]input{in("x", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		var ys []*gorgonia.Node
		for _, u := range split(Fork(x[0], 5)) {
			ys = append(ys, testutil.Must(SoftCap(u, float64(len(ys)+1))))
		}
		return ys, nil
	}}
	sums := 0
	for _, n := range compile(t, c, tensor.Float64).xs[0].Graph().AllNodes() {
		switch {
		case n.Op() == nil:
		case n.Op().String() == "fork'":
			sums++
		case strings.HasPrefix(n.Op().String(), "+ ") && !n.IsScalar():
			t.Errorf("Gorgonia adds %v", n)
		}
	}
	if sums != 1 {
		t.Errorf("%d sums of gradients, want 1", sums)
	}
}
