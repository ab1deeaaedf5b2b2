package layers

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// MLSTMConfig describes an mLSTM layer.
type MLSTMConfig struct {
	EmbeddingDim, InnerDim, NumHeads int
	ConvKernel                       int
	QKVBlock                         int // width of the blocks of the q, k and v projections
	Bias                             bool
	Dropout                          float64
	NumBlocks                        int // of the model, for the initialisation
}

// DefaultMLSTMConfig returns the official defaults for a model of width dim
// with a single layer; set NumBlocks for a larger model.
func DefaultMLSTMConfig(dim int) MLSTMConfig {
	return MLSTMConfig{EmbeddingDim: dim, InnerDim: wholeBlocks(2 * float64(dim)), NumHeads: 4, ConvKernel: 4, QKVBlock: 4, NumBlocks: 1}
}

// wholeBlocks rounds a width up to a multiple of 64, as the official defaults do.
func wholeBlocks(width float64) int { return int(math.Ceil(width/64)) * 64 }

// MLSTMBlockConfig describes a block around an mLSTM layer.
type MLSTMBlockConfig struct{ MLSTM MLSTMConfig }

// Kind returns mLSTM.
func (cfg MLSTMBlockConfig) Kind() string { return "mLSTM" }

// NewBlock creates the block with the parameters "xlstm_norm" and "xlstm".
func (cfg MLSTMBlockConfig) NewBlock(s Scope) (*Block, error) {
	b, s, err := newBlock(s, "xlstm_norm", DefaultNormConfig(cfg.MLSTM.EmbeddingDim))
	if err != nil {
		return nil, err
	}
	b.layer, err = NewMLSTM(s.Sub("xlstm"), cfg.MLSTM)
	return b, err
}

// MLSTM is the mLSTM layer of the paper (figure 11): up-projection, convolution,
// block-diagonal q, k and v, the cell, a norm per head, the learnable skip, the
// output gate and the down-projection.
type MLSTM struct {
	mlstmLayer
	s        Scope
	cfg      MLSTMConfig
	up, down *Linear
	conv     *CausalConvSiLU
	q, k, v  *HeadwiseLinear
	i, f     *Linear
	norm     *Norm
	Skip     *gorgonia.Node
}

// NewMLSTM creates an mLSTM layer; InnerDim must be a multiple of NumHeads and
// of QKVBlock.
func NewMLSTM(s Scope, cfg MLSTMConfig) (*MLSTM, error) {
	d, inner := cfg.EmbeddingDim, cfg.InnerDim
	if inner < 1 || cfg.NumHeads < 1 || cfg.QKVBlock < 1 || inner%cfg.NumHeads != 0 || inner%cfg.QKVBlock != 0 {
		return nil, errors.Errorf("layers: mLSTM: an inner width of %d is not a multiple of %d heads and of blocks of %d", inner, cfg.NumHeads, cfg.QKVBlock)
	}
	if d < 1 {
		return nil, errors.Errorf("layers: mLSTM: an embedding width of %d; it must be at least 1", d)
	}
	if cfg.ConvKernel < 1 {
		return nil, errors.Errorf("layers: mLSTM: a convolution of %d steps; it needs at least 1", cfg.ConvKernel)
	}
	l := &MLSTM{s: s, cfg: cfg}
	return l, l.make()
}

// make makes the parameters, in the official order. The parts are named in the
// order in which they run.
func (l *MLSTM) make() (err error) {
	s, cfg, d, inner := l.s, l.cfg, l.cfg.EmbeddingDim, l.cfg.InnerDim
	up, conv, qkv, gates, cell := s.Part("up projection"), s.Part("convolution"), s.Part("q, k, v"), s.Part("gates").inFloat(), s.Part("cell")
	skip, down := s.Part("skip and output gate"), s.Part("down projection")
	if l.up, err = NewLinear(up.Sub("proj_up"), d, 2*inner, cfg.Bias, Small(d)); err != nil {
		return err
	}
	for _, p := range []struct {
		name string
		dst  **HeadwiseLinear
	}{{"q_proj", &l.q}, {"k_proj", &l.k}, {"v_proj", &l.v}} {
		if *p.dst, err = NewHeadwiseLinear(qkv.Sub(p.name), inner/cfg.QKVBlock, cfg.QKVBlock, cfg.QKVBlock, cfg.Bias, Small(d)); err != nil {
			return err
		}
	}
	if l.conv, err = NewCausalConvSiLU(conv.Sub("conv1d"), inner, cfg.ConvKernel); err != nil {
		return err
	}
	if l.i, err = newLinear(gates.Sub("mlstm_cell.igate"), 3*inner, cfg.NumHeads, Constant(0), Normal(0.1)); err != nil {
		return err
	}
	if l.f, err = newLinear(gates.Sub("mlstm_cell.fgate"), 3*inner, cfg.NumHeads, Constant(0), Linspace(3, 6)); err != nil {
		return err
	}
	l.mlstmLayer = newMLSTMLayer(cell, cfg.NumHeads, inner/cfg.NumHeads, inner/cfg.NumHeads, false, 0, l.conv.window)
	if l.norm, err = NewNorm(skip.Sub("mlstm_cell.outnorm"), headNorm(inner, cfg.NumHeads)); err != nil {
		return err
	}
	if l.Skip, err = skip.Param("learnable_skip", Constant(1), inner); err != nil {
		return err
	}
	l.down, err = NewLinear(down.Sub("proj_down"), inner, d, cfg.Bias, Wang(d, max(1, cfg.NumBlocks)))
	return err
}

// headNorm is the norm behind a cell of the paper's architecture.
func headNorm(dim, heads int) NormConfig {
	cfg := DefaultNormConfig(dim)
	cfg.Groups = heads
	return cfg
}

// Fwd maps x (B·T, EmbeddingDim) to the same shape and returns the state after
// the last step; state may be nil for the initial state.
func (l *MLSTM) Fwd(x *gorgonia.Node, state *State) (*gorgonia.Node, *State, error) {
	if err := l.check(state); err != nil {
		return nil, nil, err
	}
	xm, z, err := l.up.split(x)
	if err != nil {
		return nil, nil, err
	}
	xms, err := nodes.Fork(xm, 2)
	if err != nil {
		return nil, nil, err
	}
	c, window, err := l.conv.Fwd(xms[0], state.conv())
	if err != nil {
		return nil, nil, err
	}
	cs, err := nodes.Fork(c, 3)
	if err != nil {
		return nil, nil, err
	}
	h, next, err := l.runCell(cs[0], cs[1], xms[1], state)
	if err != nil {
		return nil, nil, err
	}
	next.Conv = window
	if h, err = l.norm.Fwd(h); err != nil {
		return nil, nil, err
	}
	if h, err = nodes.SkipGate(h, cs[2], l.Skip, z); err != nil {
		return nil, nil, err
	}
	l.s.Sub("output_gate").label(h)
	y, err := l.down.Fwd(h)
	if err != nil {
		return nil, nil, err
	}
	y, err = l.s.Dropout(y, l.cfg.Dropout)
	return y, next, err
}

// runCell projects to q, k, v and the gates and runs the cell over the sequence.
// v, which is made of xv, bypasses the convolution.
func (l *MLSTM) runCell(xq, xk, xv *gorgonia.Node, state *State) (*gorgonia.Node, *State, error) {
	var toGates, toCell [3]*gorgonia.Node // q, k and v
	for k, p := range []struct {
		proj *HeadwiseLinear
		x    *gorgonia.Node
	}{{l.q, xq}, {l.k, xk}, {l.v, xv}} {
		y, err := p.proj.Fwd(p.x)
		if err != nil {
			return nil, nil, err
		}
		ys, err := nodes.Fork(y, 2)
		if err != nil {
			return nil, nil, err
		}
		toGates[k], toCell[k] = ys[0], ys[1]
	}
	i, f, err := nodes.MLSTMGates(toGates[0], toGates[1], toGates[2], l.i.Weight, l.i.Bias, l.f.Weight, l.f.Bias)
	if err != nil {
		return nil, nil, err
	}
	l.i.s.label(i)
	l.f.s.label(f)
	return l.run(l.s.Sub("mlstm_cell"), toCell[0], toCell[1], toCell[2], i, f, state)
}
