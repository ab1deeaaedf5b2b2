package nodes

import (
	"fmt"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
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
	attrs := fmt.Sprintf("%d %d", batch, t)
	return apply(spec{
		name: fmt.Sprintf("t=%d", t), attrs: attrs, shape: tensor.Shape{batch, d},
		run: kernelPair{timeStep[float32](batch, steps, d, t), timeStep[float64](batch, steps, d, t)},
		diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			g, err := apply(spec{
				name: fmt.Sprintf("t=%d'", t), attrs: attrs, shape: x.Shape(),
				run: kernelPair{putTimeStep[float32](batch, steps, d, t), putTimeStep[float64](batch, steps, d, t)},
			}, grad)
			return gorgonia.Nodes{g}, err
		},
	}, x)
}

func timeStep[F kernels.Float](batch, steps, d, t int) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		kernels.TimeStep(batch, steps, d, t, in[0].data, out[0])
		return nil
	}
}

func putTimeStep[F kernels.Float](batch, steps, d, t int) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		clear(out[0])
		kernels.PutTimeStep(batch, steps, d, t, in[0].data, out[0])
		return nil
	}
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
	return apply(spec{
		name: "stack", shape: tensor.Shape{batch * len(xs), d},
		run: kernelPair{stackTime[float32](batch, d), stackTime[float64](batch, d)},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			var gs gorgonia.Nodes
			for t := range in {
				g, err := TimeStep(batch, t, grad)
				if err != nil {
					return nil, err
				}
				gs = append(gs, g)
			}
			return gs, nil
		},
	}, xs...)
}

func stackTime[F kernels.Float](batch, d int) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		for t, x := range in {
			kernels.PutTimeStep(batch, len(in), d, t, x.data, out[0])
		}
		return nil
	}
}

// Stack returns the xs, all of one shape, one after the other in one tensor with
// a new first axis. The sLSTM's state is such a stack of y, c, n and m.
func Stack(xs ...*gorgonia.Node) (*gorgonia.Node, error) {
	if len(xs) == 0 {
		return nil, errors.New("nodes: Stack needs an input")
	}
	if err := sameShape("Stack", xs...); err != nil {
		return nil, err
	}
	size := xs[0].Shape().TotalSize()
	return apply(spec{
		name: "stack", attrs: "first", shape: append(tensor.Shape{len(xs)}, xs[0].Shape()...),
		run: kernelPair{stackTime[float32](1, size), stackTime[float64](1, size)},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			var gs gorgonia.Nodes
			for k := range in {
				g, err := Pick(k, grad)
				if err != nil {
					return nil, err
				}
				gs = append(gs, g)
			}
			return gs, nil
		},
	}, xs...)
}

// Pick returns entry k of x along its first axis, the inverse of Stack.
func Pick(k int, x *gorgonia.Node) (*gorgonia.Node, error) {
	if x == nil || len(x.Shape()) < 2 || k < 0 || k >= x.Shape()[0] {
		return nil, errors.Errorf("nodes: Pick: no entry %d in %v", k, x)
	}
	count, shape := x.Shape()[0], x.Shape()[1:]
	size := shape.TotalSize()
	return apply(spec{
		name: "pick", attrs: fmt.Sprint(k), shape: shape,
		run: kernelPair{timeStep[float32](1, count, size, k), timeStep[float64](1, count, size, k)},
		diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			g, err := apply(spec{
				name: "pick'", attrs: fmt.Sprint(k), shape: x.Shape(),
				run: kernelPair{putTimeStep[float32](1, count, size, k), putTimeStep[float64](1, count, size, k)},
			}, grad)
			return gorgonia.Nodes{g}, err
		},
	}, x)
}

// Reshape returns a copy of x in another shape of the same size.
func Reshape(x *gorgonia.Node, shape ...int) (*gorgonia.Node, error) {
	shape = slices.Clone(shape)
	tooSmall := slices.ContainsFunc(shape, func(d int) bool { return d < 1 })
	if x == nil || x.Shape().TotalSize() != tensor.Shape(shape).TotalSize() || tooSmall {
		return nil, errors.Errorf("nodes: Reshape: %v does not fit %v", x, tensor.Shape(shape))
	}
	size := x.Shape().TotalSize()
	return apply(spec{
		name: "reshape", shape: shape,
		run: kernelPair{timeStep[float32](1, 1, size, 0), timeStep[float64](1, 1, size, 0)},
		diff: func(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			g, err := Reshape(grad, x.Shape()...)
			return gorgonia.Nodes{g}, err
		},
	}, x)
}
