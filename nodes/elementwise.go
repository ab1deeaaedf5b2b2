package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
)

// Add returns a + b for nodes of one shape, the residual connection of a block.
func Add(a, b *gorgonia.Node) (*gorgonia.Node, error) {
	if err := sameShape("Add", a, b); err != nil {
		return nil, err
	}
	return apply(spec{op: ops.Add{Shape: shapeOf(a)}, diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return gorgonia.Nodes{grad, grad}, nil
	}}, a, b)
}

// Maximum returns max(a, b), element by element; a and b have one shape. Where
// they are equal, the gradient goes to a.
func Maximum(a, b *gorgonia.Node) (*gorgonia.Node, error) {
	if err := sameShape("Maximum", a, b); err != nil {
		return nil, err
	}
	shape := shapeOf(a)
	return apply(spec{op: ops.Maximum{Shape: shape}, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return gradients(ops.MaximumGrad{Shape: shape}, in[0], in[1], grad)
	}}, a, b)
}

// mul returns a⊙b. It has no derivative: it serves backward passes.
func mul(a, b *gorgonia.Node) (*gorgonia.Node, error) {
	return apply(spec{op: ops.Mul{Shape: shapeOf(a)}}, a, b)
}
