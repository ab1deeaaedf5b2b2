package layers

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
)

// HeadwiseLinear is a block-diagonal linear layer: parameters "weight" (Heads,
// Out, In) and, with a bias, "bias" (Heads·Out).
type HeadwiseLinear struct {
	s            Scope
	Weight, Bias *gorgonia.Node
}

// NewHeadwiseLinear creates a map from in to out columns for each head; its
// bias is initialised to zero.
func NewHeadwiseLinear(s Scope, heads, in, out int, bias bool, init Init) (*HeadwiseLinear, error) {
	l := &HeadwiseLinear{s: s}
	var err error
	if l.Weight, err = s.Param("weight", init, heads, out, in); err != nil {
		return nil, err
	}
	if bias {
		if l.Bias, err = s.Param("bias", Constant(0), heads*out); err != nil {
			return nil, err
		}
	}
	s.computes(func(steps int, _ CellConfig) (op, grad ops.Op) {
		h := ops.Headwise{N: steps, Heads: heads, In: in, Out: out, Stride: in}
		return h, ops.HeadwiseGrad{Headwise: h}
	})
	return l, nil
}

// Fwd maps x (N, Heads·In) to (N, Heads·Out).
func (l *HeadwiseLinear) Fwd(x *gorgonia.Node) (*gorgonia.Node, error) {
	y, err := nodes.HeadwiseLinear(x, l.Weight, l.Bias)
	l.s.label(y)
	return y, err
}
