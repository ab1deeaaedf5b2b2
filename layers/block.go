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
	h, err := b.norm.Fwd(x)
	if err != nil {
		return nil, nil, err
	}
	h, next, err := b.layer.Fwd(h, state)
	if err != nil {
		return nil, nil, errors.Wrapf(err, "building %s", b.s.prefix)
	}
	if x, err = nodes.Add(x, h); err != nil {
		return nil, nil, err
	}
	b.s.label(x)
	if b.ffn == nil {
		return x, next, nil
	}
	if h, err = b.ffnNorm.Fwd(x); err != nil {
		return nil, nil, err
	}
	if h, err = b.ffn.Fwd(h); err != nil {
		return nil, nil, errors.Wrapf(err, "building %s", b.s.prefix)
	}
	x, err = nodes.Add(x, h)
	b.s.label(x)
	return x, next, err
}
