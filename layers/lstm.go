package layers

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// LSTMConfig describes a layer of the classic LSTM. As a BlockConfig it is the
// layer alone, without a norm or a residual connection; see LSTMStackConfig.
type LSTMConfig struct {
	InputDim, HiddenDim int
	// Index is the number of the layer within its LSTM, counted from 0, from
	// which its parameters have their names.
	Index   int
	Dropout float64 // of the layer's output
}

// LSTMStackConfig returns the configuration of an LSTM of several layers, each of
// which reads the outputs of the one before. A Stack of it has the equations,
// the parameter names and the initialisation of PyTorch's nn.LSTM(in, hidden,
// layers). Unlike there, dropout also applies to the output of the last layer.
func LSTMStackConfig(in, hidden, layers int, dropout float64) StackConfig {
	cfg := StackConfig{Flat: true}
	for k := range layers {
		cfg.Blocks = append(cfg.Blocks, LSTMConfig{InputDim: in, HiddenDim: hidden, Index: k, Dropout: dropout})
		in = hidden
	}
	return cfg
}

// Kind returns LSTM, with both widths if they differ.
func (cfg LSTMConfig) Kind() string {
	if cfg.InputDim == cfg.HiddenDim {
		return lstmKind
	}
	return fmt.Sprintf("%s %d→%d", lstmKind, cfg.InputDim, cfg.HiddenDim)
}

const lstmKind = "LSTM"

// NewBlock creates the layer's parameters; see NewLSTM.
func (cfg LSTMConfig) NewBlock(s Scope) (*Block, error) {
	b := &Block{}
	b.s = s.Describe(&b.description)
	var err error
	b.layer, err = NewLSTM(b.s, cfg)
	return b, err
}

// LSTMBlockConfig describes a residual block around a layer of the classic LSTM
// and, if FeedForward is not nil, a feed-forward layer: the block of the sLSTM
// with another cell.
type LSTMBlockConfig struct {
	EmbeddingDim int
	Dropout      float64 // of the cell's output
	FeedForward  *FeedForwardConfig
}

// Kind returns LSTM.
func (cfg LSTMBlockConfig) Kind() string { return lstmKind }

// NewBlock creates the block with the parameters "xlstm_norm" and "lstm", and
// with a feed-forward layer "ffn_norm" and "ffn".
func (cfg LSTMBlockConfig) NewBlock(s Scope) (*Block, error) {
	return newCellBlock(s, cfg.EmbeddingDim, cfg.FeedForward, func(s Scope) (recurrent, error) {
		return NewLSTM(s.Sub("lstm"), LSTMConfig{InputDim: cfg.EmbeddingDim, HiddenDim: cfg.EmbeddingDim, Dropout: cfg.Dropout})
	})
}

// LSTMCell is a classic LSTM cell in a graph. R is (4·Hidden, Hidden) and Bias
// (4·Hidden), the sum of both biases, each gate by gate: i, f, g, o.
type LSTMCell struct {
	Hidden int
	// X holds the input parts W·x of the pre-activations: one node of (B·T,
	// 4·Hidden), or one for each gate if the cell is symbolic.
	X       []*gorgonia.Node
	R, Bias *gorgonia.Node
	H       *gorgonia.Node // (B·T, Hidden), the output
}

func (*LSTMCell) isCell() {}

// LSTM is one layer of the classic LSTM, as in PyTorch's nn.LSTM:
//
//	g~ = W_g·x + b_g + R_g·h + b'_g              g in i, f, g, o
//	c' = σ(f~)·c + σ(i~)·tanh(g~)
//	h' = σ(o~)·tanh(c')
type LSTM struct {
	StateParts
	cell LSTMCell
	s    Scope
	cfg  LSTMConfig
	// The parameters, each gate by gate in the order i, f, g, o.
	WeightIH, WeightHH, BiasIH, BiasHH *gorgonia.Node
}

// NewLSTM creates a layer with PyTorch's parameters, of which k is the index of
// the layer: "weight_ih_lk" (4·HiddenDim, InputDim), "weight_hh_lk" (4·HiddenDim,
// HiddenDim), "bias_ih_lk" and "bias_hh_lk" (4·HiddenDim). All are initialised
// from the uniform distribution over ±1/√HiddenDim.
func NewLSTM(s Scope, cfg LSTMConfig) (*LSTM, error) {
	in, hidden := cfg.InputDim, cfg.HiddenDim
	if in < 1 || hidden < 1 || cfg.Index < 0 {
		return nil, errors.Errorf("layers: LSTM: layer %d of width %d that reads %d; the widths must be at least 1 and the index at least 0", cfg.Index, hidden, in)
	}
	l := &LSTM{s: s.Sub(fmt.Sprintf("l%d", cfg.Index)), cfg: cfg}
	init, rows := Uniform(1/sqrt(hidden)), 4*hidden
	gates, cell := s.Part("gates"), s.Part("cell")
	for _, p := range []struct {
		s     Scope
		name  string
		dst   **gorgonia.Node
		shape []int
	}{
		{gates, "weight_ih", &l.WeightIH, []int{rows, in}}, {cell, "weight_hh", &l.WeightHH, []int{rows, hidden}},
		{gates, "bias_ih", &l.BiasIH, []int{rows}}, {cell, "bias_hh", &l.BiasHH, []int{rows}},
	} {
		var err error
		if *p.dst, err = p.s.Param(fmt.Sprintf("%s_l%d", p.name, cfg.Index), init, p.shape...); err != nil {
			return nil, err
		}
	}
	gates.computes(func(steps int, _ CellConfig) (op, grad ops.Op) {
		m := ops.Linear{Rows: steps, In: in, Outs: []int{rows}}
		return m, ops.LinearGrad{Linear: m, Has: []bool{true}}
	})
	cell.computes(func(steps int, _ CellConfig) (op, grad ops.Op) {
		c := ops.LSTM{B: 1, T: steps, H: hidden}
		return c, ops.LSTMGrad{LSTM: c}
	})
	l.StateParts = StateParts{{Name: lstmPart, Shape: []int{2, hidden}, BatchAxis: 1}}
	cell.remembers(l.StateParts...)
	l.cell = LSTMCell{Hidden: hidden, R: l.WeightHH}
	return l, nil
}

// Cell returns the layer's cell as Fwd built it, an *LSTMCell.
func (l *LSTM) Cell() Cell { return &l.cell }

// Fwd maps x (B·T, InputDim) to (B·T, HiddenDim) and returns the state after the
// last step; state may be nil for the initial state.
func (l *LSTM) Fwd(x *gorgonia.Node, state *State) (*gorgonia.Node, *State, error) {
	if err := l.check(state); err != nil {
		return nil, nil, err
	}
	gates, err := gateInputs(l.s, x, l.WeightIH, nil, l.cfg.HiddenDim)
	if err != nil {
		return nil, nil, err
	}
	// Of the two biases only the sum counts: added to the weights' products by the
	// cell, and with one gradient for both, it saves passes over all gates.
	bias, err := nodes.Add(l.BiasIH, l.BiasHH)
	if err != nil {
		return nil, nil, err
	}
	s, next := l.s.Sub("lstm_cell"), &State{}
	var h *gorgonia.Node
	if s.cells.Symbolic {
		h, next.LSTM, err = symbolicLSTM(s, gates, l.WeightHH, bias, state.lstm())
	} else {
		h, next.LSTM, err = nodes.LSTM(nodes.LSTMConfig{Batch: s.batch, Resets: s.resets}, gates[0], l.WeightHH, bias, state.lstm())
	}
	if err != nil {
		return nil, nil, err
	}
	s.label(h)
	s.Sub("state").label(next.LSTM)
	l.cell.X, l.cell.Bias, l.cell.H = gates, bias, h
	h, err = l.s.Dropout(h, l.cfg.Dropout)
	return h, next, err
}

// gateInputs returns the input parts of the pre-activations of four gates of so many
// units: one node, or one for each gate if the cells are symbolic. bias may be nil.
func gateInputs(s Scope, x, w, bias *gorgonia.Node, hidden int) ([]*gorgonia.Node, error) {
	widths := []int{4 * hidden}
	if s.cells.Symbolic {
		widths = []int{hidden, hidden, hidden, hidden}
	}
	gates, err := nodes.LinearSplit(x, w, bias, widths...)
	for _, g := range gates {
		s.Sub("gates").label(g)
	}
	return gates, err
}
