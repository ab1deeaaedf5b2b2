package layers

import (
	"fmt"

	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// StackConfig describes a stack of blocks.
type StackConfig struct {
	Blocks []BlockConfig
	// PostNorm is the norm after the blocks, or nil for none, and PostNormName
	// is the name of its parameters.
	PostNorm     *NormConfig
	PostNormName string
	// Flat gives the parameters of all blocks the names that they have in their
	// blocks, which must differ, without "blocks.0", "blocks.1" and so on.
	Flat bool
}

// DefaultStackConfig returns the configuration of a stack of the paper's
// architecture for features of width dim with the official defaults: the given
// number of blocks, sLSTM blocks with a feed-forward layer at the indices slstm
// and mLSTM blocks elsewhere, and a norm after the blocks.
func DefaultStackConfig(dim, blocks int, slstm ...int) (StackConfig, error) {
	norm := DefaultNormConfig(dim)
	cfg := StackConfig{PostNorm: &norm, PostNormName: "post_blocks_norm"}
	for range blocks {
		m := DefaultMLSTMConfig(dim)
		m.NumBlocks = blocks
		cfg.Blocks = append(cfg.Blocks, MLSTMBlockConfig{m})
	}
	for _, i := range slstm {
		if i < 0 || i >= blocks {
			return cfg, errors.Errorf("layers: an sLSTM block at index %d of a stack of %d blocks", i, blocks)
		}
		s, ffn := DefaultSLSTMConfig(dim), DefaultFeedForwardConfig(dim)
		s.Block, s.NumBlocks, ffn.NumBlocks = i, blocks, blocks
		cfg.Blocks[i] = SLSTMBlockConfig{s, &ffn}
	}
	return cfg, nil
}

// Stack is a sequence of blocks without an embedding and without a head, which
// maps features to features (the official xLSTMBlockStack). Its parameters are
// "blocks.0", "blocks.1" and so on, unless it is flat, and those of the norm.
type Stack struct {
	s      Scope
	blocks []*Block
	norm   *Norm // nil for none
	post   Description
}

// NewStack creates the blocks and the norm after them.
func NewStack(s Scope, cfg StackConfig) (*Stack, error) {
	st := &Stack{s: s}
	for i, b := range cfg.Blocks {
		within := s
		if !cfg.Flat {
			within = s.Sub(fmt.Sprintf("blocks.%d", i))
		}
		block, err := b.NewBlock(within)
		if err != nil {
			return nil, errors.Wrapf(err, "block %d", i)
		}
		st.blocks = append(st.blocks, block)
	}
	if cfg.PostNorm == nil {
		return st, nil
	}
	var err error
	st.norm, err = NewNorm(s.Describe(&st.post).Part("post norm").Sub(cfg.PostNormName), *cfg.PostNorm)
	return st, err
}

// Blocks returns the blocks in order.
func (st *Stack) Blocks() []*Block { return st.blocks }

// PostNorm returns the description of the norm after the blocks.
func (st *Stack) PostNorm() *Description { return &st.post }

// NewState adds inputs for the initial states of all blocks, with the names
// block_0, block_1 and so on; see StateParts.NewState.
func (st *Stack) NewState(s Scope) (StackState, error) {
	var states StackState
	for i, b := range st.blocks {
		state, err := b.NewState(s.Sub(fmt.Sprintf("block_%d", i)))
		if err != nil {
			return nil, err
		}
		states = append(states, state)
	}
	return states, nil
}

// Fwd maps features x (B·T, EmbeddingDim) to the same shape and returns the
// states after the last step; state may be nil for the initial state.
func (st *Stack) Fwd(x *gorgonia.Node, state StackState) (*gorgonia.Node, StackState, error) {
	if state != nil && len(state) != len(st.blocks) {
		return nil, nil, errors.Errorf("layers: a state of %d blocks for a stack of %d", len(state), len(st.blocks))
	}
	var ends StackState
	for i, b := range st.blocks {
		var begin, end *State
		if state != nil {
			begin = state[i]
		}
		var err error
		if x, end, err = b.Fwd(x, begin); err != nil {
			return nil, nil, errors.Wrapf(err, "block %d", i)
		}
		ends = append(ends, end)
	}
	if st.norm == nil {
		return x, ends, nil
	}
	x, err := st.norm.Fwd(x)
	return x, ends, err
}

// StackState holds the states of a stack, one for every block.
type StackState []*State

// Reset calls State.Reset for all blocks.
func (ss StackState) Reset() error {
	for _, s := range ss {
		if err := s.Reset(); err != nil {
			return err
		}
	}
	return nil
}

// Set calls State.Set for all blocks.
func (ss StackState) Set(ends StackState) error {
	if len(ss) != len(ends) {
		return errors.Errorf("layers: the states of %d blocks do not fit those of %d", len(ends), len(ss))
	}
	for i, s := range ss {
		if err := s.Set(ends[i]); err != nil {
			return errors.Wrapf(err, "block %d", i)
		}
	}
	return nil
}
