package layers

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
)

// CausalConvSiLU is a causal depthwise convolution over time followed by SiLU:
// parameters "conv.weight" (D, 1, K) and "conv.bias" (D).
type CausalConvSiLU struct {
	s            Scope
	window       StatePart
	Weight, Bias *gorgonia.Node
}

// NewCausalConvSiLU creates a convolution of the given kernel size, initialised
// as in PyTorch, uniformly within ±1/√K.
func NewCausalConvSiLU(s Scope, dim, kernel int) (*CausalConvSiLU, error) {
	init := Uniform(1 / sqrt(kernel))
	l := &CausalConvSiLU{s: s, window: StatePart{Name: convPart, Shape: []int{kernel, dim}}}
	conv := s.Sub("conv")
	var err error
	if l.Weight, err = conv.Param("weight", init, dim, 1, kernel); err != nil {
		return nil, err
	}
	if l.Bias, err = conv.Param("bias", init, dim); err != nil {
		return nil, err
	}
	s.remembers(l.window)
	s.computes(func(steps int, _ CellConfig) (op, grad ops.Op) {
		c := ops.Conv{B: 1, T: steps, D: dim, K: kernel}
		return c, ops.ConvGrad{Conv: c}
	})
	return l, nil
}

// Fwd convolves x (B·T, D) over time; window (B, K, D) holds the last K inputs,
// or is nil for zeros.
func (l *CausalConvSiLU) Fwd(x, window *gorgonia.Node) (y, newWindow *gorgonia.Node, err error) {
	y, newWindow, err = nodes.CausalConvWith(nodes.ConvConfig{Batch: l.s.batch, SiLU: true, Resets: l.s.resets}, x, l.Weight, l.Bias, window)
	l.s.label(y)
	l.s.Sub("window").label(newWindow)
	return y, newWindow, err
}
