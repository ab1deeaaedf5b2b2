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
			run := kernelPair{stabilizeBackward[float32](l), stabilizeBackward[float64](l)}
			ps, err := packedGrads("stabilize'", "", l, run, join(in, grad)...)
			if err != nil {
				return nil, err
			}
			return gorgonia.Nodes{ps[0], ps[0], ps[1], nil}[:len(in)], nil
		},
	}, in...)
}

func stabilize[F kernels.Float](out []F, in []operand[F]) error {
	kernels.Stabilize(in[0].data, in[1].data, in[2].data, optional(in, 3, len(in) > 3), out)
	return nil
}

func stabilizeBackward[F kernels.Float](l layout) kernel[F] {
	return func(out []F, in []operand[F]) error {
		n := optional(in, 3, len(in) > 4)
		kernels.StabilizeGrad(in[0].data, in[1].data, in[2].data, n, in[len(in)-1].data, cut(l, out, 0), cut(l, out, 1))
		return nil
	}
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

func expGate[F kernels.Float](out []F, in []operand[F]) error {
	kernels.ExpGate(in[0].data, in[1].data, out)
	return nil
}

// mul returns a⊙b. It has no derivative: it serves backward passes.
func mul(a, b *gorgonia.Node) (*gorgonia.Node, error) {
	return apply(spec{name: "⊙", shape: a.Shape(), run: kernelPair{mulForward[float32], mulForward[float64]}}, a, b)
}

func mulForward[F kernels.Float](out []F, in []operand[F]) error {
	kernels.Mul(in[0].data, in[1].data, out)
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
			run := kernelPair{maximumBackward[float32](l), maximumBackward[float64](l)}
			return packedGrads("max'", "", l, run, in[0], in[1], grad)
		},
	}, a, b)
}

func maximum[F kernels.Float](out []F, in []operand[F]) error {
	kernels.Maximum(in[0].data, in[1].data, out)
	return nil
}

func maximumBackward[F kernels.Float](l layout) kernel[F] {
	return func(out []F, in []operand[F]) error {
		kernels.MaximumGrad(in[0].data, in[1].data, in[2].data, cut(l, out, 0), cut(l, out, 1))
		return nil
	}
}

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

func add[F kernels.Float](out []F, in []operand[F]) error {
	kernels.Add(in[0].data, in[1].data, out)
	return nil
}

// SkipGate returns (h + skip⊙c)⊙SiLU(z), the way out of the mLSTM layer (paper,
// figure 11): h the normalised cell output, c what the convolution gave, z the
// other half of the up-projection, all (N, D); skip (D).
func SkipGate(h, c, skip, z *gorgonia.Node) (*gorgonia.Node, error) {
	if err := sameShape("SkipGate", h, c, z); err != nil {
		return nil, err
	}
	if err := wantShape("SkipGate", "h", h, -1, -1); err != nil {
		return nil, err
	}
	n, d := h.Shape()[0], h.Shape()[1]
	if err := wantShape("SkipGate", "skip", skip, d); err != nil {
		return nil, err
	}
	l := layout{h.Shape(), h.Shape(), skip.Shape(), h.Shape()}
	return apply(spec{
		name: "skip·gate", shape: h.Shape(),
		run: kernelPair{skipGate[float32](n, d), skipGate[float64](n, d)},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			run := kernelPair{skipGateBackward[float32](n, d, l), skipGateBackward[float64](n, d, l)}
			return packedGrads("skip·gate'", "", l, run, join(in, grad)...)
		},
	}, h, c, skip, z)
}

func skipGate[F kernels.Float](n, d int) kernel[F] {
	return func(out []F, in []operand[F]) error {
		kernels.SkipGate(n, d, in[0].data, in[1].data, in[2].data, in[3].data, out)
		return nil
	}
}

func skipGateBackward[F kernels.Float](n, d int, l layout) kernel[F] {
	return func(out []F, in []operand[F]) error {
		kernels.SkipGateGrad(n, d, in[0].data, in[1].data, in[2].data, in[3].data, in[4].data,
			cut(l, out, 0), cut(l, out, 1), cut(l, out, 2), cut(l, out, 3))
		return nil
	}
}
