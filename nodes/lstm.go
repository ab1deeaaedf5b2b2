package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
)

// LSTMConfig configures a classic LSTM cell.
type LSTMConfig struct {
	Batch int
	// Resets (B·T integers, nil for none) are not 0 where a document begins;
	// the state is zero before such a step.
	Resets *gorgonia.Node
}

// LSTM scans a classic LSTM cell (Hochreiter and Schmidhuber, 1997, with forget
// gates) over a sequence, as one layer of PyTorch's nn.LSTM does:
//
//	g~ = x_g + R_g·h + b_g                       g in i, f, g, o
//	c' = σ(f~)·c + σ(i~)·tanh(g~)
//	h' = σ(o~)·tanh(c')
//
// x (B·T, 4·H) holds the gates' input parts W·x in the order i, f, g, o; r (4·H,
// H) is the recurrent weight (weight_hh) and bias (4·H) the bias, of nn.LSTM the
// sum of bias_ih and bias_hh. state (2, B, H) holds h and c, or is nil for zeros.
// It returns h (B·T, H) and the new state.
func LSTM(cfg LSTMConfig, x, r, bias, state *gorgonia.Node) (h, newState *gorgonia.Node, err error) {
	s, err := newLSTM(cfg, x, r, bias, state)
	if err != nil {
		return nil, nil, err
	}
	return scan{
		op: s, in: gorgonia.Nodes{x, r, bias}, state: state, resets: cfg.Resets, weights: [2]int{1, 2},
		grad: func(has [2]bool) ops.Op { return ops.LSTMGrad{LSTM: s, Has: has} },
	}.nodes()
}

func newLSTM(cfg LSTMConfig, x, r, bias, state *gorgonia.Node) (ops.LSTM, error) {
	var s ops.LSTM
	if err := firstError(wantShape("LSTM", "x", x, -1, -1), wantRows("LSTM", x, cfg.Batch), wantShape("LSTM", "r", r, -1, -1)); err != nil {
		return s, err
	}
	rows, hidden := x.Shape()[0], r.Shape()[1]
	s = ops.LSTM{B: cfg.Batch, T: rows / cfg.Batch, H: hidden, State: state != nil, Resets: cfg.Resets != nil}
	if err := firstError(wantShape("LSTM", "r", r, 4*hidden, hidden), wantShape("LSTM", "x", x, rows, 4*hidden), wantShape("LSTM", "bias", bias, 4*hidden), wantResets("LSTM", cfg.Resets, rows)); err != nil || state == nil {
		return s, err
	}
	return s, wantShape("LSTM", "state", state, 2, s.B, hidden)
}
