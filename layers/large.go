package layers

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// LargeConfig describes a block of the xLSTM-7B architecture.
type LargeConfig struct {
	EmbeddingDim, NumHeads int
	QKDim, VDim            int  // of all heads together
	UpDim                  int  // of the feed-forward layer
	Bias                   bool // of the linear maps and the norms; the gates always have one
	// Fused stores the projections of the same input in one parameter, stacked
	// along the rows. The function is the same.
	Fused       bool
	GateSoftCap float64 // bounds the input and forget gates' pre-activations
	NormEps     float64
	Eps         float64 // of the cell's normaliser
	NumBlocks   int     // of the model, for the initialisation
}

// DefaultLargeConfig returns the official defaults for a model of that width
// and number of heads with a single block; set NumBlocks for a larger model.
func DefaultLargeConfig(dim, heads int) LargeConfig {
	return LargeConfig{
		EmbeddingDim: dim, NumHeads: heads, QKDim: dim / 2, VDim: dim, UpDim: RoundUp(2.6667*float64(dim), 64),
		GateSoftCap: 15, NormEps: 1e-6, Eps: 1e-6, NumBlocks: 1,
	}
}

// RoundUp rounds the width of a feed-forward layer of the xLSTM-7B architecture as
// the official implementation does: up, but if x is not whole, only from the next
// whole number on.
func RoundUp(x float64, multiple int) int {
	m := float64(multiple)
	return int(math.Floor((x+m-1)/m) * m)
}

// norm is the norm of the residual stream.
func (cfg LargeConfig) norm() NormConfig {
	return NormConfig{Dim: cfg.EmbeddingDim, RMS: true, Eps: cfg.NormEps, Weight: true, Bias: cfg.Bias}
}

// Kind returns mLSTM.
func (cfg LargeConfig) Kind() string { return "mLSTM" }

// NewBlock creates a block of the xLSTM-7B architecture (xLSTM 7B,
// arXiv:2503.13427): x + mlstm_layer(norm_mlstm(x)), then x + ffn(norm_ffn(x)),
// with RMS norms.
func (cfg LargeConfig) NewBlock(s Scope) (*Block, error) {
	b, s, err := newBlock(s, "norm_mlstm", cfg.norm())
	if err != nil {
		return nil, err
	}
	if b.layer, err = NewLargeMLSTM(s.Sub("mlstm_layer"), cfg); err != nil {
		return nil, err
	}
	ffn := s.Part("feed-forward")
	if b.ffnNorm, err = NewNorm(ffn.Sub("norm_ffn"), cfg.norm()); err != nil {
		return nil, err
	}
	b.ffn, err = newSwiGLU(ffn.Sub("ffn"), cfg)
	return b, err
}

// LargeMLSTM is the mLSTM layer of the xLSTM-7B architecture: full projections,
// input and forget gates that are kept within ±GateSoftCap, the cell with
// scaled queries, a layer norm per head, a sigmoid output gate and an output
// projection.
type LargeMLSTM struct {
	mlstmLayer
	s     Scope
	cfg   LargeConfig
	qkvo  *branches
	gates *branches
	norm  *Norm
	out   *Linear
}

// NewLargeMLSTM creates the layer; QKDim and VDim must be multiples of
// NumHeads. Its parameters are "q", "k", "v", "ogate_preact", "igate_preact"
// and "fgate_preact", or fused "qkv_opreact" and "ifgate_preact", and
// "multihead_norm" and "out_proj". They are initialised as in the official
// transformers model: gate weights are zero, and the input gates are almost
// closed.
func NewLargeMLSTM(s Scope, cfg LargeConfig) (*LargeMLSTM, error) {
	d, nh := cfg.EmbeddingDim, cfg.NumHeads
	if d < 1 || nh < 1 || cfg.QKDim < 1 || cfg.VDim < 1 || cfg.QKDim%nh != 0 || cfg.VDim%nh != 0 {
		return nil, errors.Errorf("layers: mLSTM: widths of %d and %d over an embedding of %d are not positive multiples of %d heads", cfg.QKDim, cfg.VDim, d, nh)
	}
	l := &LargeMLSTM{s: s, cfg: cfg}
	bias := zeroIf(cfg.Bias)
	var err error
	if l.qkvo, err = newBranches(s.Part("q, k, v and output gate"), cfg.Fused, "qkv_opreact", d,
		branch{"q", cfg.QKDim, Small(d), bias},
		branch{"k", cfg.QKDim, Small(d), bias},
		branch{"v", cfg.VDim, Small(d), bias},
		branch{"ogate_preact", cfg.VDim, Constant(0), bias},
	); err != nil {
		return nil, err
	}
	if l.gates, err = newBranches(s.Part("gates").inFloat(), cfg.Fused, "ifgate_preact", d,
		branch{"igate_preact", nh, Constant(0), Constant(-10)},
		branch{"fgate_preact", nh, Constant(0), Linspace(3, 6)},
	); err != nil {
		return nil, err
	}
	l.mlstmLayer = newMLSTMLayer(s.Part("cell"), nh, cfg.QKDim/nh, cfg.VDim/nh, true, cfg.Eps)
	if l.norm, err = NewNorm(s.Part("head norm").Sub("multihead_norm"), NormConfig{Dim: cfg.VDim, Groups: nh, Eps: cfg.NormEps, Weight: true, Bias: cfg.Bias}); err != nil {
		return nil, err
	}
	l.out, err = NewLinear(s.Part("down projection").Sub("out_proj"), cfg.VDim, d, cfg.Bias, Wang(d, max(1, cfg.NumBlocks)))
	return l, err
}

// Fwd maps x (B·T, EmbeddingDim) to the same shape and returns the state after
// the last step; state may be nil for the initial state. The keys in the state
// are not scaled.
func (l *LargeMLSTM) Fwd(x *gorgonia.Node, state *State) (*gorgonia.Node, *State, error) {
	if err := l.check(state); err != nil {
		return nil, nil, err
	}
	xs, err := nodes.Fork(x, len(l.qkvo.maps)+len(l.gates.maps))
	if err != nil {
		return nil, nil, err
	}
	qkvo, err := l.qkvo.Fwd(xs[:len(l.qkvo.maps)])
	if err != nil {
		return nil, nil, err
	}
	gates, err := l.gates.Fwd(xs[len(l.qkvo.maps):])
	if err != nil {
		return nil, nil, err
	}
	for k := range gates {
		if gates[k], err = nodes.SoftCap(gates[k], l.cfg.GateSoftCap); err != nil {
			return nil, nil, err
		}
	}
	h, next, err := l.run(l.s.Sub("mlstm_cell"), qkvo[0], qkvo[1], qkvo[2], gates[0], gates[1], state)
	if err != nil {
		return nil, nil, err
	}
	if h, err = l.norm.Fwd(h); err != nil {
		return nil, nil, err
	}
	if h, err = nodes.GatedActivation("sigmoid", qkvo[3], h); err != nil {
		return nil, nil, err
	}
	l.s.Sub("output_gate").label(h)
	y, err := l.out.Fwd(h)
	return y, next, err
}

// swiGLU is the feed-forward layer of the xLSTM-7B architecture,
// proj_down(SiLU(proj_up_gate(x))⊙proj_up(x)), fused with one "proj_up_gate_z".
type swiGLU struct {
	s    Scope
	up   *branches
	down *Linear
}

func newSwiGLU(s Scope, cfg LargeConfig) (*swiGLU, error) {
	d, bias := cfg.EmbeddingDim, zeroIf(cfg.Bias)
	up, err := newBranches(s, cfg.Fused, "proj_up_gate_z", d,
		branch{"proj_up_gate", cfg.UpDim, Small(d), bias},
		branch{"proj_up", cfg.UpDim, Small(d), bias})
	if err != nil {
		return nil, err
	}
	down, err := NewLinear(s.Sub("proj_down"), cfg.UpDim, d, cfg.Bias, Wang(d, max(1, cfg.NumBlocks)))
	return &swiGLU{s, up, down}, err
}

// Fwd maps x (N, EmbeddingDim) to the same shape.
func (l *swiGLU) Fwd(x *gorgonia.Node) (*gorgonia.Node, error) {
	xs, err := nodes.Fork(x, len(l.up.maps))
	if err != nil {
		return nil, err
	}
	gu, err := l.up.Fwd(xs)
	if err != nil {
		return nil, err
	}
	h, err := nodes.GatedActivation("swish", gu[0], gu[1])
	if err != nil {
		return nil, err
	}
	l.s.Sub("gate").label(h)
	return l.down.Fwd(h)
}
