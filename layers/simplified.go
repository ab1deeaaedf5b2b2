package layers

import (
	"math/rand/v2"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// SimplifiedConfig describes a layer of the simplified cell.
type SimplifiedConfig struct {
	InputDim, HiddenDim int
	Dropout             float64 // of the layer's output
}

// SimplifiedBlockConfig describes a residual block around a layer of the simplified
// cell and, if FeedForward is not nil, a feed-forward layer: the block of the sLSTM
// with another cell.
type SimplifiedBlockConfig struct {
	EmbeddingDim int
	Dropout      float64 // of the cell's output
	FeedForward  *FeedForwardConfig
}

// Kind returns simplified.
func (cfg SimplifiedBlockConfig) Kind() string { return "simplified" }

// NewBlock creates the block with the parameters "xlstm_norm" and "simplified", and
// with a feed-forward layer "ffn_norm" and "ffn".
func (cfg SimplifiedBlockConfig) NewBlock(s Scope) (*Block, error) {
	return newCellBlock(s, cfg.EmbeddingDim, cfg.FeedForward, func(s Scope) (recurrent, error) {
		return NewSimplified(s.Sub("simplified"), SimplifiedConfig{InputDim: cfg.EmbeddingDim, HiddenDim: cfg.EmbeddingDim, Dropout: cfg.Dropout})
	})
}

// SimplifiedCell is a simplified cell in a graph.
type SimplifiedCell struct {
	Hidden int
	// X holds the input parts of the pre-activations: one node of (B·T,
	// 4·Hidden), or one for each gate if the cell is symbolic.
	X []*gorgonia.Node
	// R (4·Hidden, Hidden) is the recurrent weight, Norms (4·Hidden) the layer
	// norms' γ_i, β_i, γ_f and β_f, and M (Hidden, Hidden) the memory's.
	R, Norms, M *gorgonia.Node
	H           *gorgonia.Node // (B·T, Hidden), the output
}

func (*SimplifiedCell) isCell() {}

// Simplified is a layer of the cell that many articles and repositories present as
// xLSTM, here for comparison with the cells of the paper:
//
//	[i~, f~, o~, g~] = W·[x; h] + b
//	i = exp(LN(i~));  f = σ(LN(f~));  o = σ(o~);  g = tanh(g~)
//	C' = f·C + i·(g·M)
//	h' = o·tanh(C')
//
// It is a classic LSTM with layer norms in two gates, an exponential input gate and
// a learned matrix M before the memory. What makes the paper's cells work is not in
// it:
//
//   - There is no normaliser n. The input gate may exceed 1 without bound, and the
//     memory grows with it until the tanh saturates and passes no gradient.
//   - There is no stabiliser m. What keeps exp(LN(i~)) finite is the layer norm,
//     whose outputs are at most √HiddenDim while γ is 1; a large learned γ
//     overflows. The norm also makes each unit's gate depend on all others.
//   - The memory is a vector. M is a weight, the same at every step, and not a
//     matrix that keys and values are written to, so that the cell stores no more
//     than an LSTM of its width and cannot be trained in parallel over time.
//   - Since M begins at zero, as is customary, the cell's output is zero at first,
//     and no other weight has a gradient before M has moved.
type Simplified struct {
	StateParts
	cell SimplifiedCell
	s    Scope
	cfg  SimplifiedConfig
	// W as two matrices, each gate by gate in the order i, f, o, g.
	WeightIH, WeightHH *gorgonia.Node
	Bias, Norms, M     *gorgonia.Node
}

// NewSimplified creates a layer with the parameters "weight_ih" (4·HiddenDim,
// InputDim), "weight_hh" (4·HiddenDim, HiddenDim) and "bias" (4·HiddenDim), which
// are initialised from the uniform distribution over ±1/√(InputDim+HiddenDim), as
// PyTorch initialises a linear map, "norm" (4·HiddenDim), γ_i, β_i, γ_f and β_f,
// ones and zeros, and "memory" (HiddenDim, HiddenDim), zeros.
func NewSimplified(s Scope, cfg SimplifiedConfig) (*Simplified, error) {
	in, hidden := cfg.InputDim, cfg.HiddenDim
	if in < 1 || hidden < 1 {
		return nil, errors.Errorf("layers: simplified cell: a width of %d that reads %d; both must be at least 1", hidden, in)
	}
	l := &Simplified{s: s, cfg: cfg}
	init, rows := Uniform(1/sqrt(in+hidden)), 4*hidden
	norms := func(_ *rand.Rand, values []float64) {
		for k := range values {
			values[k] = float64(1 - k/hidden%2)
		}
	}
	gates, cell := s.Part("gates"), s.Part("cell")
	for _, p := range []struct {
		s     Scope
		name  string
		init  Init
		dst   **gorgonia.Node
		shape []int
	}{
		{gates, "weight_ih", init, &l.WeightIH, []int{rows, in}}, {cell, "weight_hh", init, &l.WeightHH, []int{rows, hidden}},
		{gates, "bias", init, &l.Bias, []int{rows}}, {cell, "norm", norms, &l.Norms, []int{rows}}, {cell, "memory", Constant(0), &l.M, []int{hidden, hidden}},
	} {
		var err error
		if *p.dst, err = p.s.Param(p.name, p.init, p.shape...); err != nil {
			return nil, err
		}
	}
	gates.computes(func(steps int, _ CellConfig) (op, grad ops.Op) {
		m := ops.Linear{Rows: steps, In: in, Outs: []int{rows}, Bias: true}
		return m, ops.LinearGrad{Linear: m, Has: []bool{true}}
	})
	cell.computes(func(steps int, _ CellConfig) (op, grad ops.Op) {
		c := ops.Simplified{B: 1, T: steps, H: hidden}
		return c, ops.SimplifiedGrad{Simplified: c}
	})
	l.StateParts = StateParts{{Name: simplifiedPart, Shape: []int{2, hidden}, BatchAxis: 1}}
	cell.remembers(l.StateParts...)
	l.cell = SimplifiedCell{Hidden: hidden, R: l.WeightHH, Norms: l.Norms, M: l.M}
	return l, nil
}

// Cell returns the layer's cell as Fwd built it, a *SimplifiedCell.
func (l *Simplified) Cell() Cell { return &l.cell }

// Fwd maps x (B·T, InputDim) to (B·T, HiddenDim) and returns the state after the
// last step; state may be nil for the initial state.
func (l *Simplified) Fwd(x *gorgonia.Node, state *State) (*gorgonia.Node, *State, error) {
	if err := l.check(state); err != nil {
		return nil, nil, err
	}
	gates, err := gateInputs(l.s, x, l.WeightIH, l.Bias, l.cfg.HiddenDim)
	if err != nil {
		return nil, nil, err
	}
	s, next := l.s.Sub("simplified_cell"), &State{}
	var h *gorgonia.Node
	if s.cells.Symbolic {
		h, next.Simplified, err = symbolicSimplified(s, gates, l.WeightHH, l.Norms, l.M, state.simplified())
	} else {
		h, next.Simplified, err = nodes.Simplified(nodes.SimplifiedConfig{Batch: s.batch, Resets: s.resets}, gates[0], l.WeightHH, l.Norms, l.M, state.simplified())
	}
	if err != nil {
		return nil, nil, err
	}
	s.label(h)
	s.Sub("state").label(next.Simplified)
	l.cell.X, l.cell.H = gates, h
	h, err = l.s.Dropout(h, l.cfg.Dropout)
	return h, next, err
}
