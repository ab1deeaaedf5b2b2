package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// NormConfig configures Norm.
type NormConfig struct {
	// Groups is the number of equal column blocks that are normalised
	// separately; 0 means 1, a layer norm. The norm after a cell has one group
	// per head.
	Groups int
	// Eps is added to the variance; 0 means 1e-5, as in the paper's
	// architecture. xLSTM-7B uses 1e-6.
	Eps float64
	// RMS does not subtract the mean (RMSNorm).
	RMS bool
	// Residual multiplies by 1+w, as the paper's architecture stores its norm
	// weights, instead of by w.
	Residual bool
}

// Norm returns (x−μ)/√(var+Eps)·w over each group of columns: x (N, Width),
// w (Width) or nil for none.
func Norm(cfg NormConfig, x, w *gorgonia.Node) (*gorgonia.Node, error) {
	if err := wantShape("Norm", "x", x, -1, -1); err != nil {
		return nil, err
	}
	s := ops.Norm{
		N: x.Shape()[0], Width: x.Shape()[1], Groups: max(1, cfg.Groups),
		Eps: cfg.Eps, Centered: !cfg.RMS, Residual: cfg.Residual, Weight: w != nil,
	}
	if s.Eps == 0 {
		s.Eps = 1e-5
	}
	if !(s.Eps > 0) {
		return nil, errors.Errorf("nodes: Norm: eps is %v; it must be positive", cfg.Eps)
	}
	if s.Width%s.Groups != 0 {
		return nil, errors.Errorf("nodes: Norm: width %d is not a multiple of %d groups", s.Width, s.Groups)
	}
	inputs := gorgonia.Nodes{x}
	if w != nil {
		if err := wantShape("Norm", "w", w, s.Width); err != nil {
			return nil, err
		}
		inputs = append(inputs, w)
	}
	return apply(spec{op: s, diff: func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return gradients(ops.NormGrad{Norm: s}, join(in, grad)...)
	}}, inputs...)
}
