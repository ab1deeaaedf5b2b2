package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"gorgonia.org/gorgonia"
)

// Stabilizer returns m' = max(logF + m, i~), the stabiliser state of exponential
// gating (paper, equation 15), for log f, the old m and the input gate's
// pre-activation, all of one shape. n may be nil; where it is given and zero the
// memory is empty and m' = i~. The gradient goes to the side that was the
// maximum, none to n.
func Stabilizer(logF, m, i, n *gorgonia.Node) (*gorgonia.Node, error) {
	in := gorgonia.Nodes{logF, m, i}
	if n != nil {
		in = append(in, n)
	}
	if err := sameShape("Stabilizer", in...); err != nil {
		return nil, err
	}
	l := layout{i.Shape(), i.Shape()}
	return apply(spec{
		name: "stabilize", shape: i.Shape(), frozen: []int{3},
		run: kernelPair{stabilize[float32], stabilize[float64]},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			run := kernelPair{stabilizeBackward[float32], stabilizeBackward[float64]}
			ps, err := packedGrads("stabilize'", "", l, run, join(in, grad)...)
			if err != nil {
				return nil, err
			}
			return gorgonia.Nodes{ps[0], ps[0], ps[1], nil}[:len(in)], nil
		},
	}, in...)
}

func stabilize[F kernels.Float](out [][]F, in []operand[F]) error {
	kernels.Stabilize(in[0].data, in[1].data, in[2].data, optional(in, 3, len(in) > 3), out[0])
	return nil
}

func stabilizeBackward[F kernels.Float](out [][]F, in []operand[F]) error {
	n := optional(in, 3, len(in) > 4)
	kernels.StabilizeGrad(in[0].data, in[1].data, in[2].data, n, in[len(in)-1].data, out[0], out[1])
	return nil
}

// ExpGate returns exp(x − m), an exponential gate made finite by the stabiliser
// (paper, equations 16 and 17): i' with x = i~, f' with x = log f + m_old. x and m
// have one shape.
func ExpGate(x, m *gorgonia.Node) (*gorgonia.Node, error) {
	if err := sameShape("ExpGate", x, m); err != nil {
		return nil, err
	}
	return apply(spec{
		name: "expGate", shape: x.Shape(),
		run: kernelPair{expGate[float32], expGate[float64]},
		diff: func(_ gorgonia.Nodes, y, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			dx, err := mul(y, grad)
			if err != nil {
				return nil, err
			}
			dm, err := gorgonia.Neg(dx)
			return gorgonia.Nodes{dx, dm}, err
		},
	}, x, m)
}

func expGate[F kernels.Float](out [][]F, in []operand[F]) error {
	kernels.ExpGate(in[0].data, in[1].data, out[0])
	return nil
}
