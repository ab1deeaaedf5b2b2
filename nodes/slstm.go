package nodes

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// SLSTMConfig configures an sLSTM cell.
type SLSTMConfig struct {
	Batch, NumHeads int
	// GradientClip bounds each element of the gradient that flows through the
	// recurrence to the output of the previous step; 0 means no bound.
	GradientClip float64
	// CutGradient stops all gradients through the recurrence.
	CutGradient bool
	// Resets (B·T integers, nil for none) are not 0 where a document begins;
	// the state is zero before such a step.
	Resets *gorgonia.Node
}

func (cfg SLSTMConfig) bound() float64 {
	switch {
	case cfg.CutGradient:
		return 0
	case cfg.GradientClip > 0:
		return cfg.GradientClip
	}
	return math.Inf(1)
}

// SLSTM scans an sLSTM cell over a sequence (paper, equations 8–17):
//
//	g~ = x_g + R_g·y + b_g                       g in i, f, z, o
//	m' = max(log σ(f~) + m, i~)
//	c' = f'·c + i'·tanh(z~);  n' = f'·n + i';  y' = σ(o~)·c'/n'
//
// with the stabilised exponential gates i' = exp(i~ − m') and f' = exp(log
// σ(f~) + m − m'). i, f, z, o (B·T, D) are the gates' inputs, R (NH, 4·DH, DH)
// the recurrent kernel, in each head gate by gate in the order i, f, z, o, bias
// (4·D) gate by gate. state (4, B, D) holds y, c, n, m, or is nil for zeros. It
// returns y (B·T, D) and the new state.
func SLSTM(cfg SLSTMConfig, i, f, z, o, r, bias, state *gorgonia.Node) (y, newState *gorgonia.Node, err error) {
	s, err := newSLSTM(cfg, i, f, z, o, r, bias, state)
	if err != nil {
		return nil, nil, err
	}
	return scan{
		op: s, in: gorgonia.Nodes{i, f, z, o, r, bias}, state: state, resets: cfg.Resets, weights: [2]int{4, 5},
		grad: func(has [2]bool) ops.Op { return ops.SLSTMGrad{SLSTM: s, Has: has} },
	}.nodes()
}

func newSLSTM(cfg SLSTMConfig, i, f, z, o, r, bias, state *gorgonia.Node) (ops.SLSTM, error) {
	var s ops.SLSTM
	if err := firstError(sameShape("SLSTM", i, f, z, o), wantShape("SLSTM", "i", i, -1, -1), wantRows("SLSTM", i, cfg.Batch), wantHeads("SLSTM", i, cfg.NumHeads)); err != nil {
		return s, err
	}
	if !(cfg.GradientClip >= 0) {
		return s, errors.Errorf("nodes: SLSTM: a gradient clip of %v; it must be positive, or 0 for none", cfg.GradientClip)
	}
	rows, d := i.Shape()[0], i.Shape()[1]
	s = ops.SLSTM{B: cfg.Batch, T: rows / cfg.Batch, NH: cfg.NumHeads, DH: d / cfg.NumHeads, Clip: cfg.bound(), State: state != nil, Resets: cfg.Resets != nil}
	if err := firstError(wantShape("SLSTM", "r", r, s.NH, 4*s.DH, s.DH), wantShape("SLSTM", "bias", bias, 4*d), wantResets("SLSTM", cfg.Resets, rows)); err != nil || state == nil {
		return s, err
	}
	return s, wantShape("SLSTM", "state", state, 4, s.B, d)
}
