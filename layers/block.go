package layers

import (
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// recurrent is a layer over time.
type recurrent interface {
	Fwd(x *gorgonia.Node, state *State) (*gorgonia.Node, *State, error)
}

// Block is a residual block: x + layer(norm(x)), and with a feed-forward layer
// then x + ffn(norm(x)).
type Block struct {
	s       Scope
	norm    *Norm
	layer   recurrent
	ffnNorm *Norm
	ffn     interface {
		Fwd(x *gorgonia.Node) (*gorgonia.Node, error)
	}
}

// NewMLSTMBlock makes a block around an mLSTM layer.
func NewMLSTMBlock(s Scope, cfg MLSTMConfig) (*Block, error) {
	norm, err := NewNorm(s.Sub("xlstm_norm"), cfg.EmbeddingDim, 1, true)
	if err != nil {
		return nil, err
	}
	layer, err := NewMLSTM(s.Sub("xlstm"), cfg)
	return &Block{s: s, norm: norm, layer: layer}, err
}

// NewSLSTMBlock makes a block around an sLSTM layer and, unless ffn is nil, a
// feed-forward layer.
func NewSLSTMBlock(s Scope, cfg SLSTMConfig, ffn *FeedForwardConfig) (*Block, error) {
	norm, err := NewNorm(s.Sub("xlstm_norm"), cfg.EmbeddingDim, 1, true)
	if err != nil {
		return nil, err
	}
	layer, err := NewSLSTM(s.Sub("xlstm"), cfg)
	if err != nil {
		return nil, err
	}
	b := &Block{s: s, norm: norm, layer: layer}
	if ffn == nil {
		return b, nil
	}
	if b.ffnNorm, err = NewNorm(s.Sub("ffn_norm"), cfg.EmbeddingDim, 1, true); err != nil {
		return nil, err
	}
	b.ffn, err = NewFeedForward(s.Sub("ffn"), *ffn)
	return b, err
}

// Fwd maps x (B·T, EmbeddingDim) to the same shape and returns the state after
// the last step; state may be nil for the start.
func (b *Block) Fwd(x *gorgonia.Node, state *State) (*gorgonia.Node, *State, error) {
	var next *State
	x, err := b.residual(b.norm, x, func(h *gorgonia.Node) (y *gorgonia.Node, err error) {
		y, next, err = b.layer.Fwd(h, state)
		return y, err
	})
	if err != nil || b.ffn == nil {
		return x, next, err
	}
	x, err = b.residual(b.ffnNorm, x, b.ffn.Fwd)
	return x, next, err
}

// residual returns x + f(norm(x)).
func (b *Block) residual(norm *Norm, x *gorgonia.Node, f func(x *gorgonia.Node) (*gorgonia.Node, error)) (*gorgonia.Node, error) {
	xs, err := nodes.Fork(x, 2)
	if err != nil {
		return nil, err
	}
	h, err := norm.Fwd(xs[0])
	if err != nil {
		return nil, err
	}
	if h, err = f(h); err != nil {
		return nil, errors.Wrapf(err, "building %s", b.s.prefix)
	}
	y, err := nodes.Add(xs[1], h)
	b.s.label(y)
	return y, err
}
