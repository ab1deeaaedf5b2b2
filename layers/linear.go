package layers

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
)

// Linear is y = x·Wᵀ + b: parameters "weight" (Out, In) and, with a bias, "bias"
// (Out), whose nodes are Weight and Bias. If the store holds the weight packed,
// Weight is nil.
type Linear struct {
	s Scope
	matrix
	Bias *gorgonia.Node
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
	w, err := s.matrix("weight", weight, out, in)
	if err != nil {
		return nil, err
	}
	if w, err = s.adapt(w); err != nil {
		return nil, err
	}
	return linearOf(s, w, bias)
}

// linearOf makes a linear layer of a matrix, without a bias if that has no
// initialisation.
func linearOf(s Scope, m matrix, bias Init) (*Linear, error) {
	s.computes(func(steps int, _ CellConfig) (op, grad ops.Op) {
		l := ops.Linear{Rows: steps, In: m.in, Outs: []int{m.out}}
		return l, ops.LinearGrad{Linear: l, Has: []bool{true}}
	})
	l := &Linear{s: s, matrix: m}
	if bias == nil {
		return l, nil
	}
	var err error
	l.Bias, err = s.Param("bias", bias, m.out)
	return l, err
}

// Fwd maps x (N, In) to (N, Out).
func (l *Linear) Fwd(x *gorgonia.Node) (*gorgonia.Node, error) {
	ys, err := l.multiply(x, l.Bias, l.out)
	if err != nil {
		return nil, err
	}
	l.s.label(ys[0])
	return ys[0], nil
}

// split is Fwd with the output cut into two equal halves.
func (l *Linear) split(x *gorgonia.Node) (a, b *gorgonia.Node, err error) {
	ys, err := l.multiply(x, l.Bias, l.out/2, l.out/2)
	if err != nil {
		return nil, nil, err
	}
	l.s.label(ys[0])
	l.s.label(ys[1])
	return ys[0], ys[1], nil
}
