package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"gorgonia.org/gorgonia"
)

// SimplifiedConfig configures a simplified cell.
type SimplifiedConfig struct {
	Batch int
	// Resets (B·T integers, nil for none) are not 0 where a document begins;
	// the state is zero before such a step.
	Resets *gorgonia.Node
}

// SimplifiedEps is added to the variances of the simplified cell's norms.
const SimplifiedEps = 1e-5

// Simplified scans the simplified cell that articles present as xLSTM over a
// sequence; see layers.Simplified for what it is and what it lacks.
//
//	g~ = x_g + R_g·h                             g in i, f, o, g
//	i = exp(LN_i(i~));  f = σ(LN_f(f~));  o = σ(o~);  g = tanh(g~)
//	C' = f·C + i·(g·M)
//	h' = o·tanh(C')
//
// x (B·T, 4·H) holds the gates' input parts W·x + b in the order i, f, o, g; r (4·H,
// H) is the recurrent weight in the same order, norms (4·H) the layer norms' γ_i,
// β_i, γ_f and β_f, and m (H, H) is M, input first. state (2, B, H) holds h and C,
// or is nil for zeros. It returns h (B·T, H) and the new state.
func Simplified(cfg SimplifiedConfig, x, r, norms, m, state *gorgonia.Node) (h, newState *gorgonia.Node, err error) {
	s, err := newSimplified(cfg, x, r, norms, m, state)
	if err != nil {
		return nil, nil, err
	}
	return scan{
		op: s, in: gorgonia.Nodes{x, r, norms, m}, state: state, resets: cfg.Resets, weights: [2]int{1, 4},
		grad: func(has [2]bool) ops.Op { return ops.SimplifiedGrad{Simplified: s, Has: has} },
	}.nodes()
}

func newSimplified(cfg SimplifiedConfig, x, r, norms, m, state *gorgonia.Node) (ops.Simplified, error) {
	var s ops.Simplified
	if err := firstError(wantShape("Simplified", "x", x, -1, -1), wantRows("Simplified", x, cfg.Batch), wantShape("Simplified", "r", r, -1, -1)); err != nil {
		return s, err
	}
	rows, hidden := x.Shape()[0], r.Shape()[1]
	s = ops.Simplified{B: cfg.Batch, T: rows / cfg.Batch, H: hidden, Eps: SimplifiedEps, State: state != nil, Resets: cfg.Resets != nil}
	if err := firstError(
		wantShape("Simplified", "r", r, 4*hidden, hidden), wantShape("Simplified", "x", x, rows, 4*hidden), wantShape("Simplified", "norms", norms, 4*hidden),
		wantShape("Simplified", "m", m, hidden, hidden), wantResets("Simplified", cfg.Resets, rows),
	); err != nil || state == nil {
		return s, err
	}
	return s, wantShape("Simplified", "state", state, 2, s.B, hidden)
}
