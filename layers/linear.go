package layers

import (
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
)

// Linear is y = x·Wᵀ + b: parameters "weight" (Out, In) and, with a bias, "bias"
// (Out).
type Linear struct {
	s            Scope
	Weight, Bias *gorgonia.Node
}

// NewLinear makes a linear layer; its bias begins at zero.
func NewLinear(s Scope, in, out int, bias bool, init Init) (*Linear, error) {
	w, b, err := weightAndBias(s, bias, init, out, out, in)
	return &Linear{s, w, b}, err
}

// weightAndBias makes a weight of the given shape and, if asked for, a bias.
func weightAndBias(s Scope, bias bool, init Init, width int, shape ...int) (w, b *gorgonia.Node, err error) {
	if w, err = s.Param("weight", init, shape...); err != nil || !bias {
		return w, nil, err
	}
	b, err = s.Param("bias", Constant(0), width)
	return w, b, err
}

// Fwd maps x (N, In) to (N, Out).
func (l *Linear) Fwd(x *gorgonia.Node) (*gorgonia.Node, error) {
	y, err := nodes.Linear(x, l.Weight, l.Bias)
	l.s.label(y)
	return y, err
}

// split is Fwd with the output cut into two equal halves.
func (l *Linear) split(x *gorgonia.Node) (a, b *gorgonia.Node, err error) {
	half := l.Weight.Shape()[0] / 2
	ys, err := nodes.LinearSplit(x, l.Weight, l.Bias, half, half)
	if err != nil {
		return nil, nil, err
	}
	l.s.label(ys[0])
	l.s.label(ys[1])
	return ys[0], ys[1], nil
}

// HeadwiseLinear is a block-diagonal linear layer: parameters "weight" (Heads,
// Out, In) and, with a bias, "bias" (Heads·Out).
type HeadwiseLinear struct {
	s            Scope
	Weight, Bias *gorgonia.Node
}

// NewHeadwiseLinear makes one map from in to out columns for each head.
func NewHeadwiseLinear(s Scope, heads, in, out int, bias bool, init Init) (*HeadwiseLinear, error) {
	w, b, err := weightAndBias(s, bias, init, heads*out, heads, out, in)
	return &HeadwiseLinear{s, w, b}, err
}

// Fwd maps x (N, Heads·In) to (N, Heads·Out).
func (l *HeadwiseLinear) Fwd(x *gorgonia.Node) (*gorgonia.Node, error) {
	y, err := nodes.HeadwiseLinear(x, l.Weight, l.Bias)
	l.s.label(y)
	return y, err
}

// CausalConvSiLU is a causal depthwise convolution over time followed by SiLU:
// parameters "conv.weight" (D, 1, K) and "conv.bias" (D).
type CausalConvSiLU struct {
	s            Scope
	Weight, Bias *gorgonia.Node
}

// NewCausalConvSiLU makes a convolution of the given kernel size, initialised as
// PyTorch does, evenly within ±1/√K.
func NewCausalConvSiLU(s Scope, dim, kernel int) (*CausalConvSiLU, error) {
	init := Uniform(1 / sqrt(kernel))
	conv := s.Sub("conv")
	w, err := conv.Param("weight", init, dim, 1, kernel)
	if err != nil {
		return nil, err
	}
	b, err := conv.Param("bias", init, dim)
	return &CausalConvSiLU{s, w, b}, err
}

// Fwd convolves x (B·T, D) over time; window (B, K, D) holds the last K inputs,
// nil for zeros.
func (l *CausalConvSiLU) Fwd(x, window *gorgonia.Node) (y, newWindow *gorgonia.Node, err error) {
	y, newWindow, err = nodes.CausalConvWith(nodes.ConvConfig{Batch: l.s.batch, SiLU: true, Resets: l.s.resets}, x, l.Weight, l.Bias, window)
	l.s.label(y)
	l.s.Sub("window").label(newWindow)
	return y, newWindow, err
}

// Norm is a norm over groups of columns: see NewNorm and NewRMSNorm.
type Norm struct {
	s            Scope
	cfg          nodes.NormConfig
	Weight, Bias *gorgonia.Node
}

// NewNorm makes the layer norm of the paper's architecture, eps 1e-5, without
// bias, over groups equal column blocks: 1 for a layer norm, the number of heads
// for the norm behind a cell. Its parameter is "weight" (Width), stored so that 0
// means a factor of 1. Without weight there is no parameter.
func NewNorm(s Scope, dim, groups int, weight bool) (*Norm, error) {
	l := &Norm{s: s, cfg: nodes.NormConfig{Groups: groups, Eps: 1e-5, Residual: true}}
	if !weight {
		return l, nil
	}
	var err error
	l.Weight, err = s.Param("weight", Constant(0), dim)
	return l, err
}

// Fwd normalises the rows of x (N, Width).
func (l *Norm) Fwd(x *gorgonia.Node) (*gorgonia.Node, error) {
	y, err := nodes.Norm(l.cfg, x, l.Weight)
	if err == nil && l.Bias != nil {
		y, err = nodes.AddBias(y, l.Bias, 0)
	}
	l.s.label(y)
	return y, err
}

// Embedding looks rows up: parameter "weight" (V, D).
type Embedding struct {
	s      Scope
	Weight *gorgonia.Node
}

// NewEmbedding makes an embedding of vocab tokens in dim numbers each.
func NewEmbedding(s Scope, vocab, dim int, init Init) (*Embedding, error) {
	w, err := s.Param("weight", init, vocab, dim)
	return &Embedding{s, w}, err
}

// Fwd maps ids (N), of dtype tensor.Int, to (N, D).
func (l *Embedding) Fwd(ids *gorgonia.Node) (*gorgonia.Node, error) {
	y, err := nodes.Embedding(ids, l.Weight)
	l.s.label(y)
	return y, err
}
