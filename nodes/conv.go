package nodes

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// CausalConvSiLU returns SiLU of a causal depthwise convolution over time,
// out[t] = b + Σ_j w[j]·x[t−(K−1)+j]: x (B·T, D), w (D, 1, K), b (D); b may not
// be nil. window (B, K, D) holds the last K inputs, newest last, nil for zeros;
// the new window is returned beside the output.
func CausalConvSiLU(batch int, x, w, b, window *gorgonia.Node) (y, newWindow *gorgonia.Node, err error) {
	return causalConv(batch, true, x, w, b, window)
}

// CausalConv is CausalConvSiLU without the activation.
func CausalConv(batch int, x, w, b, window *gorgonia.Node) (y, newWindow *gorgonia.Node, err error) {
	return causalConv(batch, false, x, w, b, window)
}

func causalConv(batch int, silu bool, x, w, b, window *gorgonia.Node) (y, newWindow *gorgonia.Node, err error) {
	if err := firstError(wantShape("CausalConv", "x", x, -1, -1), wantShape("CausalConv", "w", w, -1, 1, -1), wantRows("CausalConv", x, batch)); err != nil {
		return nil, nil, err
	}
	n, d, k := x.Shape()[0], x.Shape()[1], w.Shape()[2]
	if err := firstError(wantShape("CausalConv", "w", w, d, 1, k), wantShape("CausalConv", "b", b, d)); err != nil {
		return nil, nil, err
	}
	s := kernels.Conv{B: batch, T: n / batch, D: d, K: k, SiLU: silu}
	inputs := gorgonia.Nodes{x, w, b}
	if window != nil {
		if err := wantShape("CausalConv", "window", window, batch, k, d); err != nil {
			return nil, nil, err
		}
		inputs = append(inputs, window)
	}
	l := layout{x.Shape(), tensor.Shape{batch, k, d}}
	name := "conv"
	if silu {
		name = "conv·silu"
	}
	packed, err := apply(spec{
		name: name, attrs: fmt.Sprintf("%+v", s),
		run: kernelPair{convForward[float32](s), convForward[float64](s)},
		diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			return convDiff(s, l, in, grad)
		},
	}.packed(l), inputs...)
	if err != nil {
		return nil, nil, err
	}
	ps, err := parts(packed)
	if err != nil {
		return nil, nil, err
	}
	return ps[0], ps[1], nil
}

func convForward[F kernels.Float](s kernels.Conv) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		kernels.ConvForward(s, in[0].data, in[1].data, in[2].data, optional(in, 3, len(in) > 3), out[0], out[1])
		return nil
	}
}

func convDiff(s kernels.Conv, l layout, in gorgonia.Nodes, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	dys, err := unput(l, grad)
	if err != nil {
		return nil, err
	}
	some, has := present(dys)
	var lg layout
	for _, n := range in {
		lg = append(lg, n.Shape())
	}
	run := kernelPair{convBackward[float32](s, lg, has), convBackward[float64](s, lg, has)}
	return packedGrads("conv'", fmt.Sprintf("%+v %v", s, has), lg, run, join(in, some...)...)
}

func convBackward[F kernels.Float](s kernels.Conv, l layout, has []bool) kernel[F] {
	var zero []F
	return func(out [][]F, in []operand[F]) error {
		n, withWindow := len(l), len(l) > 3
		dys := spread(in[n:], has)
		if dys[0] == nil {
			if zero == nil {
				zero = make([]F, len(in[0].data))
			}
			dys[0] = zero
		}
		var dWindow []F
		if withWindow {
			dWindow = out[3]
		}
		kernels.ConvBackward(s, in[0].data, in[1].data, in[2].data, optional(in, 3, withWindow), dys[0], dys[1],
			out[0], out[1], out[2], dWindow)
		return nil
	}
}
