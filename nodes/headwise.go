package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// HeadwiseLinear returns the block-diagonal map y[h,o] = Σ_i W[h,o,i]·x[h,i] + b:
// x (N, Heads·In), w (Heads, Out, In), b (Heads·Out) or nil, y (N, Heads·Out).
// The mLSTM's q, k, v and the sLSTM's gates are such maps (paper, figures 10 and
// 11).
func HeadwiseLinear(x, w, b *gorgonia.Node) (*gorgonia.Node, error) {
	if err := wantShape("HeadwiseLinear", "w", w, -1, -1, -1); err != nil {
		return nil, err
	}
	return headwise("HeadwiseLinear", x, w, b, 0, w.Shape()[1])
}

// RecurrentLinear returns R_g·y, the recurrent part of one gate of the sLSTM: y
// (B, NH·DH), r (NH, 4·DH, DH) the kernel of all gates; gates 0 to 3 are i, f,
// z, o.
func RecurrentLinear(y, r *gorgonia.Node, gate int) (*gorgonia.Node, error) {
	if err := wantShape("RecurrentLinear", "r", r, -1, -1, -1); err != nil {
		return nil, err
	}
	dh := r.Shape()[2]
	if err := wantShape("RecurrentLinear", "r", r, -1, 4*dh, dh); err != nil {
		return nil, err
	}
	if gate < 0 || gate > 3 {
		return nil, errors.Errorf("nodes: RecurrentLinear: there is no gate %d; 0 … 3 is i, f, z, o", gate)
	}
	return headwise("RecurrentLinear", y, r, nil, gate*dh, dh)
}

func headwise(opName string, x, w, b *gorgonia.Node, row, out int) (*gorgonia.Node, error) {
	heads, stride, in := w.Shape()[0], w.Shape()[1], w.Shape()[2]
	if err := wantShape(opName, "input", x, -1, heads*in); err != nil {
		return nil, err
	}
	s := ops.Headwise{N: x.Shape()[0], Heads: heads, In: in, Out: out, Row: row, Stride: stride, Bias: b != nil}
	inputs := gorgonia.Nodes{x, w}
	if b != nil {
		if err := wantShape(opName, "b", b, heads*out); err != nil {
			return nil, err
		}
		inputs = append(inputs, b)
	}
	return apply(spec{op: s, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return gradients(ops.HeadwiseGrad{Headwise: s}, in[0], in[1], grad)
	}}, inputs...)
}
