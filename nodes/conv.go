package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
)

// CausalConvSiLU returns SiLU of a causal depthwise convolution over time,
// out[t] = b + Σ_j w[j]·x[t−(K−1)+j]: x (B·T, D), w (D, 1, K), b (D); b may not
// be nil. window (B, K, D) holds the last K inputs, newest last, or is nil for
// zeros; the new window is returned with the output.
func CausalConvSiLU(batch int, x, w, b, window *gorgonia.Node) (y, newWindow *gorgonia.Node, err error) {
	return CausalConvWith(ConvConfig{Batch: batch, SiLU: true}, x, w, b, window)
}

// CausalConv is like CausalConvSiLU, without the activation.
func CausalConv(batch int, x, w, b, window *gorgonia.Node) (y, newWindow *gorgonia.Node, err error) {
	return CausalConvWith(ConvConfig{Batch: batch}, x, w, b, window)
}

// ConvConfig configures a causal convolution.
type ConvConfig struct {
	Batch int
	SiLU  bool
	// Resets (B·T integers, nil for none) are not 0 where a document begins;
	// all inputs before it are zeros for that document.
	Resets *gorgonia.Node
}

// CausalConvWith is CausalConv or CausalConvSiLU, as configured, for a batch in
// which documents may begin.
func CausalConvWith(cfg ConvConfig, x, w, b, window *gorgonia.Node) (y, newWindow *gorgonia.Node, err error) {
	if err := firstError(wantShape("CausalConv", "x", x, -1, -1), wantShape("CausalConv", "w", w, -1, 1, -1), wantRows("CausalConv", x, cfg.Batch)); err != nil {
		return nil, nil, err
	}
	n, d, k := x.Shape()[0], x.Shape()[1], w.Shape()[2]
	if err := firstError(wantShape("CausalConv", "w", w, d, 1, k), wantShape("CausalConv", "b", b, d), wantResets("CausalConv", cfg.Resets, n)); err != nil {
		return nil, nil, err
	}
	s := ops.Conv{B: cfg.Batch, T: n / cfg.Batch, D: d, K: k, SiLU: cfg.SiLU, Window: window != nil, Resets: cfg.Resets != nil}
	inputs := gorgonia.Nodes{x, w, b}
	if window != nil {
		if err := wantShape("CausalConv", "window", window, s.B, k, d); err != nil {
			return nil, nil, err
		}
		inputs = append(inputs, window)
	}
	ps, err := results(spec{op: s, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return convDiff(s, in, grad)
	}}, withResets(inputs, cfg.Resets)...)
	if err != nil {
		return nil, nil, err
	}
	return ps[0], ps[1], nil
}

func convDiff(s ops.Conv, in gorgonia.Nodes, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	dys, err := unput(2, grad)
	if err != nil {
		return nil, err
	}
	some, has := present(dys)
	in, resets := cutResets(in)
	return gradientsReset(ops.ConvGrad{Conv: s, Has: [2]bool(has)}, resets, join(in, some...)...)
}
