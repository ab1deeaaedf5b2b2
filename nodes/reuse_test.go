package nodes

import (
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Gorgonia adds the gradients of a weight that is used several times in place,
// in the buffer of one of our backward passes: what that pass leaves as it was
// must not be what the addition wrote there in the run before.
func wantSecondRunTheSame(t *testing.T, c graphCase) {
	t.Helper()
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		m, values := compile(t, c, dt), c.values(1)
		first := m.bits(t, values)
		if !slices.Equal(m.bits(t, values), first) {
			t.Errorf("%v: the second run differs from the first", dt)
		}
	}
}

func TestGatesOfOneWideRecurrentKernelRunTwice(t *testing.T) {
	const heads, dh = 2, 13
	c := graphCase{[]input{in("y", 3, heads*dh), in("r", heads, 4*dh, dh)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		var sum *gorgonia.Node
		for gate := range 3 {
			y := testutil.Must(RecurrentLinear(x[0], x[1], gate))
			if sum == nil {
				sum = y
			} else {
				sum = testutil.Must(gorgonia.Add(sum, y))
			}
		}
		return one(sum, nil)
	}}
	wantSecondRunTheSame(t, c)
}

func TestSplitsOfOneWeightWithUnusedOutputsRunTwice(t *testing.T) {
	c := graphCase{[]input{in("a", 5, 3), in("b", 5, 3), in("w", 4, 3)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		a, err := LinearSplit(x[0], x[2], nil, 2, 2)
		if err != nil {
			return nil, err
		}
		b, err := LinearSplit(x[1], x[2], nil, 2, 2)
		if err != nil {
			return nil, err
		}
		return []*gorgonia.Node{a[0], b[1]}, nil
	}}
	wantSecondRunTheSame(t, c)
}
