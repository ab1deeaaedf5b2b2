package layers

import (
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
)

// NormConfig describes a norm of rows over groups of columns.
type NormConfig struct {
	// Dim is the number of columns.
	Dim int
	// Groups is the number of equal column blocks, each normalised separately:
	// 1 (or 0) for a norm of the whole row, the number of heads for the norm
	// after a cell.
	Groups int
	// RMS does not subtract the mean: x·w/√(mean x² + Eps).
	RMS bool
	// Eps is added under the square root.
	Eps float64
	// Weight adds a factor for each column, and Bias (only with Weight) a
	// summand.
	Weight, Bias bool
	// Residual stores the factor minus 1, so that the weight is initialised to
	// 0.
	Residual bool
}

// DefaultNormConfig returns the layer norm of the paper's architecture: eps 1e-5,
// a residual weight, no bias.
func DefaultNormConfig(dim int) NormConfig {
	return NormConfig{Dim: dim, Groups: 1, Eps: 1e-5, Weight: true, Residual: true}
}

// Norm is a norm over groups of columns: parameters "weight" (Dim) and "bias"
// (Dim), as its configuration says.
type Norm struct {
	s            Scope
	cfg          NormConfig
	Weight, Bias *gorgonia.Node
}

// NewNorm creates a norm. Its factors are initialised to 1 and its bias to 0.
func NewNorm(s Scope, cfg NormConfig) (*Norm, error) {
	l := &Norm{s: s, cfg: cfg}
	if !cfg.Weight {
		return l, nil
	}
	begin := 1.0
	if cfg.Residual {
		begin = 0
	}
	var err error
	if l.Weight, err = s.Param("weight", Constant(begin), cfg.Dim); err != nil || !cfg.Bias {
		return l, err
	}
	l.Bias, err = s.Param("bias", Constant(0), cfg.Dim)
	return l, err
}

// Fwd normalises the rows of x (N, Dim).
func (l *Norm) Fwd(x *gorgonia.Node) (*gorgonia.Node, error) {
	y, err := nodes.Norm(nodes.NormConfig{Groups: l.cfg.Groups, RMS: l.cfg.RMS, Eps: l.cfg.Eps, Residual: l.cfg.Residual}, x, l.Weight)
	if err == nil && l.Bias != nil {
		y, err = nodes.AddBias(y, l.Bias, 0)
	}
	l.s.label(y)
	return y, err
}
