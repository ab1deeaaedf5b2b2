package nodes

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TimeStep returns step t of every sequence: x (B·T, D), result (B, D).
func TimeStep(batch, t int, x *gorgonia.Node) (*gorgonia.Node, error) {
	if err := firstError(wantShape("TimeStep", "x", x, -1, -1), wantRows("TimeStep", x, batch)); err != nil {
		return nil, err
	}
	steps, d := x.Shape()[0]/batch, x.Shape()[1]
	if t < 0 || t >= steps {
		return nil, errors.Errorf("nodes: TimeStep: step %d of %d", t, steps)
	}
	return apply(spec{op: ops.TimeStep{B: batch, T: steps, D: d, Step: t}, diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return gradients(ops.TimeStepGrad{B: batch, T: steps, D: d, Step: t}, grad)
	}}, x)
}

// StackTime is the inverse of TimeStep: xs are the steps, (B, D) each, the result
// is (B·T, D).
func StackTime(xs []*gorgonia.Node) (*gorgonia.Node, error) {
	if len(xs) == 0 {
		return nil, errors.New("nodes: StackTime needs a step")
	}
	if err := firstError(wantShape("StackTime", "step", xs[0], -1, -1), sameShape("StackTime", xs...)); err != nil {
		return nil, err
	}
	batch, d := xs[0].Shape()[0], xs[0].Shape()[1]
	return apply(spec{op: ops.StackTime{B: batch, T: len(xs), D: d}, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return each(len(in), func(t int) (*gorgonia.Node, error) { return TimeStep(batch, t, grad) })
	}}, xs...)
}

// each returns the nodes that f makes for 0 … n−1.
func each(n int, f func(k int) (*gorgonia.Node, error)) (gorgonia.Nodes, error) {
	ns := make(gorgonia.Nodes, n)
	for k := range ns {
		var err error
		if ns[k], err = f(k); err != nil {
			return nil, err
		}
	}
	return ns, nil
}

// Stack returns a tensor with a new first axis that consists of the xs, all of
// the same shape. The sLSTM's state is such a stack of y, c, n and m.
func Stack(xs ...*gorgonia.Node) (*gorgonia.Node, error) {
	if len(xs) == 0 {
		return nil, errors.New("nodes: Stack needs an input")
	}
	if err := sameShape("Stack", xs...); err != nil {
		return nil, err
	}
	return apply(spec{op: ops.Stack{N: len(xs), Shape: shapeOf(xs[0])}, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return each(len(in), func(k int) (*gorgonia.Node, error) { return Pick(k, grad) })
	}}, xs...)
}

// Pick returns entry k of x along its first axis. It is the inverse of Stack.
func Pick(k int, x *gorgonia.Node) (*gorgonia.Node, error) {
	if x == nil || len(x.Shape()) < 2 || k < 0 || k >= x.Shape()[0] {
		return nil, errors.Errorf("nodes: Pick: no entry %d in %v", k, x)
	}
	count, shape := x.Shape()[0], shapeOf(x)[1:]
	return apply(spec{op: ops.Pick{N: count, K: k, Shape: shape}, diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return gradients(ops.PickGrad{N: count, K: k, Shape: shape}, grad)
	}}, x)
}

// Reshape returns a copy of x in another shape of the same size.
func Reshape(x *gorgonia.Node, shape ...int) (*gorgonia.Node, error) {
	shape = slices.Clone(shape)
	tooSmall := slices.ContainsFunc(shape, func(d int) bool { return d < 1 })
	if x == nil || x.Shape().TotalSize() != tensor.Shape(shape).TotalSize() || tooSmall {
		return nil, errors.Errorf("nodes: Reshape: %v does not fit %v", x, tensor.Shape(shape))
	}
	return apply(spec{op: ops.Reshape{From: shapeOf(x), To: shape}, diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		g, err := Reshape(grad, x.Shape()...)
		return gorgonia.Nodes{g}, err
	}}, x)
}
