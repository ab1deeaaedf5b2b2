package layers

import (
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
	// Form and Chunk say how the cell is computed; see nodes.MLSTMConfig.
	Form     nodes.Form
	Chunk    int
	Symbolic bool // build the cell out of primitives, step by step
}

// MLSTM is the mLSTM layer of the paper (figure 11): up-projection, convolution,
// block-diagonal q, k and v, the cell, a norm per head, the learnable skip, the
// output gate and the down-projection.
type MLSTM struct {
	s        Scope
	cfg      MLSTMConfig
	up, down *Linear
	conv     *CausalConvSiLU
	q, k, v  *HeadwiseLinear
	i, f     *Linear
	norm     *Norm
	Skip     *gorgonia.Node
}

// NewMLSTM makes an mLSTM layer; InnerDim must be a multiple of NumHeads and of
// QKVBlock.
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
	var err error
	if l.up, err = NewLinear(s.Sub("proj_up"), d, 2*inner, cfg.Bias, Small(d)); err != nil {
		return nil, err
	}
	for _, p := range []struct {
		name string
		dst  **HeadwiseLinear
	}{{"q_proj", &l.q}, {"k_proj", &l.k}, {"v_proj", &l.v}} {
		if *p.dst, err = NewHeadwiseLinear(s.Sub(p.name), inner/cfg.QKVBlock, cfg.QKVBlock, cfg.QKVBlock, cfg.Bias, Small(d)); err != nil {
			return nil, err
		}
	}
	if l.conv, err = NewCausalConvSiLU(s.Sub("conv1d"), inner, cfg.ConvKernel); err != nil {
		return nil, err
	}
	if err := l.makeCell(); err != nil {
		return nil, err
	}
	if l.Skip, err = s.Param("learnable_skip", Constant(1), inner); err != nil {
		return nil, err
	}
	l.down, err = NewLinear(s.Sub("proj_down"), inner, d, cfg.Bias, Wang(d, max(1, cfg.NumBlocks)))
	return l, err
}

func (l *MLSTM) makeCell() (err error) {
	cell, inner, nh := l.s.Sub("mlstm_cell"), l.cfg.InnerDim, l.cfg.NumHeads
	gate := func(s Scope, bias Init) (*Linear, error) {
		w, err := s.Param("weight", Constant(0), nh, 3*inner)
		if err != nil {
			return nil, err
		}
		b, err := s.Param("bias", bias, nh)
		return &Linear{s, w, b}, err
	}
	if l.i, err = gate(cell.Sub("igate"), Normal(0.1)); err != nil {
		return err
	}
	if l.f, err = gate(cell.Sub("fgate"), Linspace(3, 6)); err != nil {
		return err
	}
	l.norm, err = NewNorm(cell.Sub("outnorm"), inner, nh, true)
	return err
}

// Fwd maps x (B·T, EmbeddingDim) to the same shape and returns the state after
// the last step; state may be nil for the start.
func (l *MLSTM) Fwd(x *gorgonia.Node, state *State) (*gorgonia.Node, *State, error) {
	if err := state.onlyHas(true, true, false); err != nil {
		return nil, nil, err
	}
	next := &State{}
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
	next.Conv = window
	cs, err := nodes.Fork(c, 3)
	if err != nil {
		return nil, nil, err
	}
	h, err := l.cell(cs[0], cs[1], xms[1], state.mlstm(), next)
	if err != nil {
		return nil, nil, err
	}
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

// cell projects to q, k, v and the gates, runs the cell over the sequence and
// sets the new state. v, which is made of xv, bypasses the convolution.
func (l *MLSTM) cell(xq, xk, xv *gorgonia.Node, state *nodes.MLSTMState, next *State) (*gorgonia.Node, error) {
	var toGates, toCell [3]*gorgonia.Node // q, k and v
	for k, p := range []struct {
		proj *HeadwiseLinear
		x    *gorgonia.Node
	}{{l.q, xq}, {l.k, xk}, {l.v, xv}} {
		y, err := p.proj.Fwd(p.x)
		if err != nil {
			return nil, err
		}
		ys, err := nodes.Fork(y, 2)
		if err != nil {
			return nil, err
		}
		toGates[k], toCell[k] = ys[0], ys[1]
	}
	i, f, err := nodes.MLSTMGates(toGates[0], toGates[1], toGates[2], l.i.Weight, l.i.Bias, l.f.Weight, l.f.Bias)
	if err != nil {
		return nil, err
	}
	l.i.s.label(i)
	l.f.s.label(f)
	cell := l.s.Sub("mlstm_cell")
	run := nodes.MLSTM
	if l.cfg.Symbolic {
		run = func(cfg nodes.MLSTMConfig, q, k, v, i, f *gorgonia.Node, state *nodes.MLSTMState) (*gorgonia.Node, nodes.MLSTMState, error) {
			return symbolicMLSTM(cell, cfg, q, k, v, i, f, state)
		}
	}
	cfg := nodes.MLSTMConfig{Batch: l.s.batch, NumHeads: l.cfg.NumHeads, Form: l.cfg.Form, Chunk: l.cfg.Chunk, Resets: l.s.resets}
	h, st, err := run(cfg, toCell[0], toCell[1], toCell[2], i, f, state)
	if err != nil {
		return nil, err
	}
	cell.label(h)
	cell.Sub("C").label(st.C)
	cell.Sub("n").label(st.N)
	cell.Sub("m").label(st.M)
	next.C, next.N, next.M = st.C, st.N, st.M
	return h, nil
}
