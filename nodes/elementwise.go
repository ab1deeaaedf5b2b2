package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"gorgonia.org/gorgonia"
)

// Add returns a + b for nodes of one shape, the residual connection of a block.
func Add(a, b *gorgonia.Node) (*gorgonia.Node, error) {
	if err := sameShape("Add", a, b); err != nil {
		return nil, err
	}
	return apply(spec{
		name: "+", shape: a.Shape(),
		run: kernelPair{add[float32], add[float64]},
		diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			return gorgonia.Nodes{grad, grad}, nil
		},
	}, a, b)
}

func add[F kernels.Float](out [][]F, in []operand[F]) error {
	kernels.Add(in[0].data, in[1].data, out[0])
	return nil
}

// Maximum returns max(a, b), element by element; a and b have one shape. Where
// they are equal, the gradient goes to a.
func Maximum(a, b *gorgonia.Node) (*gorgonia.Node, error) {
	if err := sameShape("Maximum", a, b); err != nil {
		return nil, err
	}
	l := layout{a.Shape(), a.Shape()}
	return apply(spec{
		name: "max", shape: a.Shape(),
		run: kernelPair{maximum[float32], maximum[float64]},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			run := kernelPair{maximumBackward[float32], maximumBackward[float64]}
			return packedGrads("max'", "", l, run, in[0], in[1], grad)
		},
	}, a, b)
}

func maximum[F kernels.Float](out [][]F, in []operand[F]) error {
	kernels.Maximum(in[0].data, in[1].data, out[0])
	return nil
}

func maximumBackward[F kernels.Float](out [][]F, in []operand[F]) error {
	kernels.MaximumGrad(in[0].data, in[1].data, in[2].data, out[0], out[1])
	return nil
}

// mul returns a⊙b. It has no derivative: it serves backward passes.
func mul(a, b *gorgonia.Node) (*gorgonia.Node, error) {
	return apply(spec{name: "⊙", shape: a.Shape(), run: kernelPair{mulForward[float32], mulForward[float64]}}, a, b)
}

func mulForward[F kernels.Float](out [][]F, in []operand[F]) error {
	kernels.Mul(in[0].data, in[1].data, out[0])
	return nil
}
