package layers

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// FeedForwardConfig describes a gated feed-forward layer.
type FeedForwardConfig struct {
	EmbeddingDim, UpDim int
	Activation          string // see nodes.ActivationNames
	Bias                bool
	Dropout             float64
	NumBlocks           int // of the model, for the initialisation
}

// DefaultFeedForwardConfig returns the official defaults for a model of width
// dim with a single block; set NumBlocks for a larger model.
func DefaultFeedForwardConfig(dim int) FeedForwardConfig {
	return FeedForwardConfig{EmbeddingDim: dim, UpDim: wholeBlocks(1.3 * float64(dim)), Activation: "gelu", NumBlocks: 1}
}

// FeedForward is proj_down(act(g)⊙u) with [g, u] = proj_up(x), the second half of
// an sLSTM block (paper, figure 10).
type FeedForward struct {
	s        Scope
	cfg      FeedForwardConfig
	up, down *Linear
}

// NewFeedForward creates the parameters "proj_up" (2·UpDim, EmbeddingDim) and
// "proj_down" (EmbeddingDim, UpDim).
func NewFeedForward(s Scope, cfg FeedForwardConfig) (*FeedForward, error) {
	if !slices.Contains(nodes.ActivationNames(), cfg.Activation) {
		return nil, errors.Errorf("layers: feed-forward: activation %q is unknown; there are %v", cfg.Activation, nodes.ActivationNames())
	}
	up, err := NewLinear(s.Sub("proj_up"), cfg.EmbeddingDim, 2*cfg.UpDim, cfg.Bias, Small(cfg.EmbeddingDim))
	if err != nil {
		return nil, err
	}
	down, err := NewLinear(s.Sub("proj_down"), cfg.UpDim, cfg.EmbeddingDim, cfg.Bias, Wang(cfg.EmbeddingDim, max(1, cfg.NumBlocks)))
	return &FeedForward{s, cfg, up, down}, err
}

// Fwd maps x (N, EmbeddingDim) to the same shape.
func (l *FeedForward) Fwd(x *gorgonia.Node) (*gorgonia.Node, error) {
	g, u, err := l.up.split(x)
	if err != nil {
		return nil, err
	}
	h, err := nodes.GatedActivation(l.cfg.Activation, g, u)
	if err != nil {
		return nil, err
	}
	l.s.Sub("gate").label(h)
	y, err := l.down.Fwd(h)
	if err != nil {
		return nil, err
	}
	return l.s.Dropout(y, l.cfg.Dropout)
}
