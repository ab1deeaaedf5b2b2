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
	return CausalConvWith(ConvConfig{Batch: batch, SiLU: true}, x, w, b, window)
}

// CausalConv is CausalConvSiLU without the activation.
func CausalConv(batch int, x, w, b, window *gorgonia.Node) (y, newWindow *gorgonia.Node, err error) {
	return CausalConvWith(ConvConfig{Batch: batch}, x, w, b, window)
}

// ConvConfig describes a causal convolution.
type ConvConfig struct {
	Batch int
	SiLU  bool
	// Resets (B·T integers, nil for none) are not 0 where a document begins, for
	// which all inputs before it count as zeros.
	Resets *gorgonia.Node
}

// CausalConvWith is CausalConv, or CausalConvSiLU, for a batch in which documents
// may begin.
func CausalConvWith(cfg ConvConfig, x, w, b, window *gorgonia.Node) (y, newWindow *gorgonia.Node, err error) {
	if err := firstError(wantShape("CausalConv", "x", x, -1, -1), wantShape("CausalConv", "w", w, -1, 1, -1), wantRows("CausalConv", x, cfg.Batch)); err != nil {
		return nil, nil, err
	}
	n, d, k := x.Shape()[0], x.Shape()[1], w.Shape()[2]
	if err := firstError(wantShape("CausalConv", "w", w, d, 1, k), wantShape("CausalConv", "b", b, d), wantResets("CausalConv", cfg.Resets, n)); err != nil {
		return nil, nil, err
	}
	s := kernels.Conv{B: cfg.Batch, T: n / cfg.Batch, D: d, K: k, SiLU: cfg.SiLU}
	inputs := gorgonia.Nodes{x, w, b}
	if window != nil {
		if err := wantShape("CausalConv", "window", window, s.B, k, d); err != nil {
			return nil, nil, err
		}
		inputs = append(inputs, window)
	}
	inputs = withResets(inputs, cfg.Resets)
	l := layout{x.Shape(), tensor.Shape{s.B, k, d}}
	name := "conv"
	if cfg.SiLU {
		name = "conv·silu"
	}
	packed, err := apply(spec{
		name: name, attrs: fmt.Sprintf("%+v", s), ints: resetInput(inputs, cfg.Resets),
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
		s := s
		in, s.Resets = takeResets(in)
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
	in, resets := cutResets(in)
	var lg layout
	for _, n := range in {
		lg = append(lg, n.Shape())
	}
	run := kernelPair{convBackward[float32](s, lg, has), convBackward[float64](s, lg, has)}
	return resetGrads("conv'", fmt.Sprintf("%+v %v", s, has), lg, run, resets, join(in, some...)...)
}

func convBackward[F kernels.Float](s kernels.Conv, l layout, has []bool) kernel[F] {
	var zero []F
	return func(out [][]F, in []operand[F]) error {
		s := s
		in, s.Resets = takeResets(in)
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
