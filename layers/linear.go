package layers

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
)

// Linear is y = x·Wᵀ + b: parameters "weight" (Out, In) and, with a bias, "bias"
// (Out).
type Linear struct {
	s            Scope
	Weight, Bias *gorgonia.Node
}

// NewLinear creates a linear layer; its bias is initialised to zero.
func NewLinear(s Scope, in, out int, bias bool, init Init) (*Linear, error) {
	return newLinear(s, in, out, init, zeroIf(bias))
}

// zeroIf returns the initialisation of a bias to zero, or nil for no bias.
func zeroIf(bias bool) Init {
	if bias {
		return Constant(0)
	}
	return nil
}

// newLinear makes a linear layer, without a bias if that has no initialisation.
func newLinear(s Scope, in, out int, weight, bias Init) (*Linear, error) {
	w, err := s.Param("weight", weight, out, in)
	if err != nil {
		return nil, err
	}
	l := TiedLinear(s, w)
	if bias != nil {
		l.Bias, err = s.Param("bias", bias, out)
	}
	return l, err
}

// TiedLinear returns a linear layer without a bias whose weight (Out, In) is that
// of another layer, such as an Embedding.
func TiedLinear(s Scope, weight *gorgonia.Node) *Linear {
	out, in := weight.Shape()[0], weight.Shape()[1]
	s.computes(func(steps int, _ CellConfig) (op, grad ops.Op) {
		l := ops.Linear{Rows: steps, In: in, Outs: []int{out}}
		return l, ops.LinearGrad{Linear: l, Has: []bool{true}}
	})
	return &Linear{s: s, Weight: weight}
}

// Fwd maps x (N, In) to (N, Out).
func (l *Linear) Fwd(x *gorgonia.Node) (*gorgonia.Node, error) {
	y, err := nodes.Linear(x, l.Weight, l.Bias)
	l.s.label(y)
	return y, err
}

// split is Fwd with the output cut into two equal halves.
func (l *Linear) split(x *gorgonia.Node) (a, b *gorgonia.Node, err error) {
	half := l.Weight.Shape()[0] / 2
	ys, err := nodes.LinearSplit(x, l.Weight, l.Bias, half, half)
	if err != nil {
		return nil, nil, err
	}
	l.s.label(ys[0])
	l.s.label(ys[1])
	return ys[0], ys[1], nil
}
