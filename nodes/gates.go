package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
)

// Stabilizer returns m' = max(logF + m, i~), the stabiliser state of
// exponential gating (paper, equation 15), for log f, the old m and the input
// gate's pre-activation, all of one shape. n may be nil; where it is given and
// zero, the memory is empty and m' = i~. The gradient flows to the larger of
// the two arguments, and none to n.
func Stabilizer(logF, m, i, n *gorgonia.Node) (*gorgonia.Node, error) {
	in := gorgonia.Nodes{logF, m, i}
	if n != nil {
		in = append(in, n)
	}
	if err := sameShape("Stabilizer", in...); err != nil {
		return nil, err
	}
	withN, shape := n != nil, shapeOf(i)
	return apply(spec{
		op: ops.Stabilize{WithN: withN, Shape: shape}, frozen: []int{3},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			ps, err := gradients(ops.StabilizeGrad{WithN: withN, Shape: shape}, join(in, grad)...)
			if err != nil {
				return nil, err
			}
			return gorgonia.Nodes{ps[0], ps[0], ps[1], nil}[:len(in)], nil
		},
	}, in...)
}

// ExpGate returns exp(x − m), an exponential gate made finite by the stabiliser
// (paper, equations 16 and 17): i' with x = i~, f' with x = log f + m_old. x and m
// have one shape.
func ExpGate(x, m *gorgonia.Node) (*gorgonia.Node, error) {
	if err := sameShape("ExpGate", x, m); err != nil {
		return nil, err
	}
	return apply(spec{op: ops.ExpGate{Shape: shapeOf(x)}, diff: func(_ gorgonia.Nodes, y, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		dx, err := mul(y, grad)
		if err != nil {
			return nil, err
		}
		dm, err := gorgonia.Neg(dx)
		return gorgonia.Nodes{dx, dm}, err
	}}, x, m)
}
