package layers

import (
	"math/rand/v2"

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
	// Fused keeps the projections that read the same input in one parameter,
	// stacked along the rows. It is the same function.
	Fused       bool
	GateSoftCap float64 // bounds the input and forget gates' pre-activations
	NormEps     float64
	Eps         float64 // of the cell's normaliser
	NumBlocks   int     // of the model, for the initialisation
	// Form and Chunk say how the cell is computed; see nodes.MLSTMConfig.
	Form     nodes.Form
	Chunk    int
	Symbolic bool // build the cell out of primitives, step by step
}

// NewLargeBlock makes a block of the xLSTM-7B architecture (xLSTM 7B,
// arXiv:2503.13427): x + mlstm_layer(norm_mlstm(x)), then x + ffn(norm_ffn(x)),
// with RMS norms.
func NewLargeBlock(s Scope, cfg LargeConfig) (*Block, error) {
	norm, err := NewRMSNorm(s.Sub("norm_mlstm"), cfg.EmbeddingDim, cfg.NormEps, cfg.Bias)
	if err != nil {
		return nil, err
	}
	layer, err := NewLargeMLSTM(s.Sub("mlstm_layer"), cfg)
	if err != nil {
		return nil, err
	}
	ffnNorm, err := NewRMSNorm(s.Sub("norm_ffn"), cfg.EmbeddingDim, cfg.NormEps, cfg.Bias)
	if err != nil {
		return nil, err
	}
	ffn, err := newSwiGLU(s.Sub("ffn"), cfg)
	return &Block{s: s, norm: norm, layer: layer, ffnNorm: ffnNorm, ffn: ffn}, err
}

// LargeMLSTM is the mLSTM layer of the xLSTM-7B architecture: projections of
// full rank, input and forget gates that are kept within ±GateSoftCap, the cell
// with scaled queries, a layer norm per head, a sigmoid output gate and a
// projection back.
type LargeMLSTM struct {
	s     Scope
	cfg   LargeConfig
	qkvo  *branches
	gates *branches
	norm  *Norm
	out   *Linear
}

// NewLargeMLSTM makes the layer; QKDim and VDim must be multiples of NumHeads.
// Its parameters are "q", "k", "v", "ogate_preact", "igate_preact" and
// "fgate_preact", or fused "qkv_opreact" and "ifgate_preact", and
// "multihead_norm" and "out_proj". They begin as in the official transformers
// model: gates without weights, the input gates all but closed.
func NewLargeMLSTM(s Scope, cfg LargeConfig) (*LargeMLSTM, error) {
	d, nh := cfg.EmbeddingDim, cfg.NumHeads
	if d < 1 || nh < 1 || cfg.QKDim < 1 || cfg.VDim < 1 || cfg.QKDim%nh != 0 || cfg.VDim%nh != 0 {
		return nil, errors.Errorf("layers: mLSTM: widths of %d and %d over an embedding of %d are not positive multiples of %d heads", cfg.QKDim, cfg.VDim, d, nh)
	}
	l := &LargeMLSTM{s: s, cfg: cfg}
	var bias Init
	if cfg.Bias {
		bias = Constant(0)
	}
	var err error
	if l.qkvo, err = newBranches(s, cfg.Fused, "qkv_opreact", d,
		branch{"q", cfg.QKDim, Small(d), bias},
		branch{"k", cfg.QKDim, Small(d), bias},
		branch{"v", cfg.VDim, Small(d), bias},
		branch{"ogate_preact", cfg.VDim, Constant(0), bias},
	); err != nil {
		return nil, err
	}
	if l.gates, err = newBranches(s, cfg.Fused, "ifgate_preact", d,
		branch{"igate_preact", nh, Constant(0), Constant(-10)},
		branch{"fgate_preact", nh, Constant(0), Linspace(3, 6)},
	); err != nil {
		return nil, err
	}
	if l.norm, err = newPlainNorm(s.Sub("multihead_norm"), nodes.NormConfig{Groups: nh, Eps: cfg.NormEps}, cfg.VDim, cfg.Bias); err != nil {
		return nil, err
	}
	l.out, err = NewLinear(s.Sub("out_proj"), cfg.VDim, d, cfg.Bias, Wang(d, max(1, cfg.NumBlocks)))
	return l, err
}

// Fwd maps x (B·T, EmbeddingDim) to the same shape and returns the state after
// the last step; state may be nil for the start. Its keys are as they are, not
// scaled.
func (l *LargeMLSTM) Fwd(x *gorgonia.Node, state *State) (*gorgonia.Node, *State, error) {
	if err := state.onlyHas(false, true, false); err != nil {
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
	h, next, err := l.cell(qkvo[0], qkvo[1], qkvo[2], gates[0], gates[1], state.mlstm())
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

// cell runs the cell over the sequence.
func (l *LargeMLSTM) cell(q, k, v, i, f *gorgonia.Node, state *nodes.MLSTMState) (*gorgonia.Node, *State, error) {
	s := l.s.Sub("mlstm_cell")
	cfg := nodes.MLSTMConfig{Batch: l.s.batch, NumHeads: l.cfg.NumHeads, Form: l.cfg.Form, Chunk: l.cfg.Chunk, ScaleQueries: true, Eps: l.cfg.Eps, Resets: l.s.resets}
	run := nodes.MLSTM
	if l.cfg.Symbolic {
		run = func(cfg nodes.MLSTMConfig, q, k, v, i, f *gorgonia.Node, state *nodes.MLSTMState) (*gorgonia.Node, nodes.MLSTMState, error) {
			return symbolicMLSTM(s, cfg, q, k, v, i, f, state)
		}
	}
	h, next, err := run(cfg, q, k, v, i, f, state)
	if err != nil {
		return nil, nil, err
	}
	s.label(h)
	s.Sub("C").label(next.C)
	s.Sub("n").label(next.N)
	s.Sub("m").label(next.M)
	return h, &State{C: next.C, N: next.N, M: next.M}, nil
}

// swiGLU is the feed-forward layer of the xLSTM-7B architecture,
// proj_down(SiLU(proj_up_gate(x))⊙proj_up(x)), fused with one "proj_up_gate_z".
type swiGLU struct {
	s    Scope
	up   *branches
	down *Linear
}

func newSwiGLU(s Scope, cfg LargeConfig) (*swiGLU, error) {
	d := cfg.EmbeddingDim
	var bias Init
	if cfg.Bias {
		bias = Constant(0)
	}
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

// NewRMSNorm makes an RMS norm over the whole width (x·w/√(mean x² + eps)):
// parameters "weight" (Width), a plain factor that begins at 1, and with a bias
// "bias" (Width).
func NewRMSNorm(s Scope, dim int, eps float64, bias bool) (*Norm, error) {
	return newPlainNorm(s, nodes.NormConfig{RMS: true, Eps: eps}, dim, bias)
}

func newPlainNorm(s Scope, cfg nodes.NormConfig, dim int, bias bool) (*Norm, error) {
	l := &Norm{s: s, cfg: cfg}
	var err error
	if l.Weight, err = s.Param("weight", Constant(1), dim); err != nil || !bias {
		return l, err
	}
	l.Bias, err = s.Param("bias", Constant(0), dim)
	return l, err
}

// branch is one of several linear maps of one input; without bias it has none.
type branch struct {
	name         string
	width        int
	weight, bias Init
}

// branches are linear maps of one input. Each has parameters of its own, or all
// share one Linear that has them as blocks of rows.
type branches struct {
	s     Scope
	list  []branch
	maps  []*Linear // one if they are fused
	fused bool
}

// newBranches makes linear maps from in columns, all of them with or all of them
// without a bias. Fused, they are one parameter of the given name.
func newBranches(s Scope, fused bool, name string, in int, list ...branch) (*branches, error) {
	b := &branches{s: s, list: list, fused: fused}
	params := list
	if fused {
		params = []branch{stack(name, in, list)}
	}
	for _, m := range params {
		l := &Linear{s: s.Sub(m.name)}
		var err error
		if l.Weight, err = l.s.Param("weight", m.weight, m.width, in); err != nil {
			return nil, err
		}
		if m.bias != nil {
			if l.Bias, err = l.s.Param("bias", m.bias, m.width); err != nil {
				return nil, err
			}
		}
		b.maps = append(b.maps, l)
	}
	return b, nil
}

// stack returns one branch that has those of the list as blocks of rows.
func stack(name string, in int, list []branch) branch {
	all := branch{name: name}
	var widths, sizes []int
	var weights, biases []Init
	for _, b := range list {
		all.width += b.width
		widths, sizes = append(widths, b.width), append(sizes, b.width*in)
		weights, biases = append(weights, b.weight), append(biases, b.bias)
	}
	all.weight = inTurn(weights, sizes)
	if list[0].bias != nil {
		all.bias = inTurn(biases, widths)
	}
	return all
}

// inTurn initialises consecutive pieces of the given sizes, each its own way.
func inTurn(inits []Init, sizes []int) Init {
	return func(r *rand.Rand, values []float64) {
		for k, init := range inits {
			init(r, values[:sizes[k]])
			values = values[sizes[k]:]
		}
	}
}

// Fwd maps x (N, In), which is given once for each of the maps, to one (N, width)
// for each branch.
func (b *branches) Fwd(xs []*gorgonia.Node) (gorgonia.Nodes, error) {
	if b.fused {
		var widths []int
		for _, m := range b.list {
			widths = append(widths, m.width)
		}
		ys, err := nodes.LinearSplit(xs[0], b.maps[0].Weight, b.maps[0].Bias, widths...)
		for k, y := range ys {
			b.s.Sub(b.list[k].name).label(y)
		}
		return ys, err
	}
	var ys gorgonia.Nodes
	for k, m := range b.maps {
		y, err := m.Fwd(xs[k])
		if err != nil {
			return nil, err
		}
		ys = append(ys, y)
	}
	return ys, nil
}
