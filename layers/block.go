package layers

import (
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// BlockConfig describes a block of one kind: it is an MLSTMBlockConfig, an
// SLSTMBlockConfig, a LargeConfig, an LSTMBlockConfig, a SimplifiedBlockConfig, or
// an LSTMConfig for a layer alone.
type BlockConfig interface {
	// Kind names the kind of the block's cell: mLSTM, sLSTM, LSTM or
	// simplified. Blocks of one kind in a model have the same shapes.
	Kind() string
	// NewBlock creates a block in a scope. The description of the block
	// (parameters, state, arithmetic) is recorded as its layers are created;
	// see Block.Description.
	NewBlock(s Scope) (*Block, error)
}

// recurrent is a layer over time.
type recurrent interface {
	Fwd(x *gorgonia.Node, state *State) (*gorgonia.Node, *State, error)
	NewState(s Scope) (*State, error)
	Cell() Cell
}

// feedForward is a layer that maps row by row.
type feedForward interface {
	Fwd(x *gorgonia.Node) (*gorgonia.Node, error)
}

// Cell is a recurrent cell in a graph with its nodes: an *MLSTMCell, an
// *SLSTMCell, an *LSTMCell or a *SimplifiedCell.
type Cell interface{ isCell() }

// Block is a residual block: x + layer(norm(x)), followed, if there is a
// feed-forward layer, by x + ffn(norm(x)). Without a norm it is the layer alone.
type Block struct {
	s           Scope
	description Description
	norm        *Norm // nil for the layer alone
	layer       recurrent
	ffnNorm     *Norm
	ffn         feedForward
}

// newBlock returns a block with its first norm, and the scope of its layers.
func newBlock(s Scope, norm string, cfg NormConfig) (*Block, Scope, error) {
	b := &Block{}
	b.s = s.Describe(&b.description)
	var err error
	b.norm, err = NewNorm(b.s.Part("norm").Sub(norm), cfg)
	return b, b.s, err
}

// newCellBlock returns a block of the sLSTM's form around a layer, with the
// parameters "xlstm_norm" and those of the layer, and unless ffn is nil
// "ffn_norm" and "ffn".
func newCellBlock(s Scope, dim int, ffn *FeedForwardConfig, layer func(s Scope) (recurrent, error)) (*Block, error) {
	b, s, err := newBlock(s, "xlstm_norm", DefaultNormConfig(dim))
	if err != nil {
		return nil, err
	}
	if b.layer, err = layer(s); err != nil || ffn == nil {
		return b, err
	}
	s = s.Part("feed-forward")
	if b.ffnNorm, err = NewNorm(s.Sub("ffn_norm"), DefaultNormConfig(dim)); err != nil {
		return nil, err
	}
	b.ffn, err = NewFeedForward(s.Sub("ffn"), *ffn)
	return b, err
}

// Description returns the parts of the block.
func (b *Block) Description() *Description { return &b.description }

// NewState adds inputs for an initial state; see StateParts.NewState.
func (b *Block) NewState(s Scope) (*State, error) { return b.layer.NewState(s) }

// Cell returns the block's cell as Fwd built it.
func (b *Block) Cell() Cell { return b.layer.Cell() }

// Fwd maps x (B·T, EmbeddingDim) to the same shape, or a layer alone to its own
// width, and returns the state after the last step; state may be nil for the
// initial state.
func (b *Block) Fwd(x *gorgonia.Node, state *State) (*gorgonia.Node, *State, error) {
	if b.norm == nil {
		return b.layer.Fwd(x, state)
	}
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
