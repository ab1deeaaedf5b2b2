package layers

import (
	"math"
	"math/rand/v2"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// The values of SLSTMConfig.BiasInit.
const (
	PowerlawBlockdependent = "powerlaw_blockdependent"
	SmallInit              = "small_init"
	ZerosInit              = "zeros"
	StandardInit           = "standard"
)

// SLSTMConfig describes an sLSTM layer.
type SLSTMConfig struct {
	EmbeddingDim, NumHeads int
	ConvKernel             int     // 0: no convolution
	Dropout                float64 // of the cell's output
	NormWeight             bool    // whether the norm after the cell has a weight
	// BiasInit is the initialisation of the gates' biases, empty for
	// PowerlawBlockdependent: the forget gates of each head spread from +5 down
	// to −7, faster in later blocks.
	BiasInit string
	// RecurrentInit is ZerosInit, which is the default, or StandardInit.
	RecurrentInit    string
	Block, NumBlocks int // the position of the layer in the model, for the initialisation
	GradientClip     float64
	CutGradient      bool
}

// DefaultSLSTMConfig returns the official defaults for a model of width dim
// with a single layer; set Block and NumBlocks for a larger model.
func DefaultSLSTMConfig(dim int) SLSTMConfig {
	return SLSTMConfig{
		EmbeddingDim: dim, NumHeads: 4, ConvKernel: 4, NormWeight: true,
		BiasInit: PowerlawBlockdependent, RecurrentInit: ZerosInit, NumBlocks: 1,
	}
}

// SLSTMBlockConfig describes a block around an sLSTM layer and, if FeedForward
// is not nil, a feed-forward layer.
type SLSTMBlockConfig struct {
	SLSTM       SLSTMConfig
	FeedForward *FeedForwardConfig
}

// Kind returns sLSTM.
func (cfg SLSTMBlockConfig) Kind() string { return "sLSTM" }

// NewBlock creates the block with the parameters "xlstm_norm" and "xlstm", and
// with a feed-forward layer "ffn_norm" and "ffn".
func (cfg SLSTMBlockConfig) NewBlock(s Scope) (*Block, error) {
	return newCellBlock(s, cfg.SLSTM.EmbeddingDim, cfg.FeedForward, func(s Scope) (recurrent, error) {
		return NewSLSTM(s.Sub("xlstm"), cfg.SLSTM)
	})
}

// SLSTMCell is an sLSTM cell in a graph (paper, section 2.2). R is (Heads, 4·DH,
// DH) and Bias (4·D), both gate by gate: i, f, z, o.
type SLSTMCell struct {
	Heads, DH  int            // the number of heads and their width
	I, F, Z, O *gorgonia.Node // (B·T, D), the input parts of the pre-activations
	R, Bias    *gorgonia.Node
	H          *gorgonia.Node // (B·T, D), the output
}

func (*SLSTMCell) isCell() {}

// SLSTM is the sLSTM layer of the paper (figure 10): convolution, gates, the cell
// with its recurrence in each head, and a norm per head.
//
// The names of the tensors are the official ones, including a swap that
// checkpoints depend on: "fgate" feeds the input gate and "igate" the forget
// gate.
type SLSTM struct {
	StateParts
	cell       SLSTMCell
	s          Scope
	cfg        SLSTMConfig
	conv       *CausalConvSiLU
	i, f, z, o *HeadwiseLinear
	R, Bias    *gorgonia.Node
	norm       *Norm
}

// NewSLSTM creates an sLSTM layer; EmbeddingDim must be a multiple of NumHeads.
func NewSLSTM(s Scope, cfg SLSTMConfig) (*SLSTM, error) {
	d, nh := cfg.EmbeddingDim, cfg.NumHeads
	if d < 1 || nh < 1 || d%nh != 0 {
		return nil, errors.Errorf("layers: sLSTM: a width of %d is not a multiple of %d heads", d, nh)
	}
	if cfg.ConvKernel < 0 {
		return nil, errors.Errorf("layers: sLSTM: a convolution of %d steps; 0 means none", cfg.ConvKernel)
	}
	if s.cells.Symbolic && (cfg.GradientClip > 0 || cfg.CutGradient) {
		return nil, errors.New("layers: sLSTM: the symbolic cell cannot bound the gradient of its recurrence; build the fused one, or without GradientClip and CutGradient")
	}
	l := &SLSTM{s: s, cfg: cfg}
	return l, l.make()
}

// Cell returns the layer's cell as Fwd built it, an *SLSTMCell.
func (l *SLSTM) Cell() Cell { return &l.cell }

// make makes the parameters, in the official order.
func (l *SLSTM) make() (err error) {
	s, cfg, d, nh := l.s, l.cfg, l.cfg.EmbeddingDim, l.cfg.NumHeads
	if cfg.ConvKernel > 0 {
		if l.conv, err = NewCausalConvSiLU(s.Part("convolution").Sub("conv1d"), d, cfg.ConvKernel); err != nil {
			return err
		}
		l.StateParts = StateParts{l.conv.window}
	}
	gates := s.Part("gates")
	for _, gate := range []struct {
		name string
		dst  **HeadwiseLinear
	}{{"fgate", &l.i}, {"igate", &l.f}, {"zgate", &l.z}, {"ogate", &l.o}} {
		if *gate.dst, err = NewHeadwiseLinear(gates.Sub(gate.name), nh, d/nh, d/nh, false, Small(d)); err != nil {
			return err
		}
	}
	if err := l.makeCell(s.Part("cell").Sub("slstm_cell")); err != nil {
		return err
	}
	norm := headNorm(d, nh)
	norm.Weight = cfg.NormWeight
	l.norm, err = NewNorm(s.Part("head norm").Sub("group_norm"), norm)
	return err
}

func (l *SLSTM) makeCell(s Scope) error {
	d, nh, dh := l.cfg.EmbeddingDim, l.cfg.NumHeads, l.cfg.EmbeddingDim/l.cfg.NumHeads
	kernel := Constant(0)
	switch l.cfg.RecurrentInit {
	case "", ZerosInit:
	case StandardInit:
		kernel = Uniform(1 / sqrt(d))
	default:
		return errors.Errorf("layers: sLSTM: recurrent init %q is not %q or %q", l.cfg.RecurrentInit, ZerosInit, StandardInit)
	}
	bias, err := biasInit(l.cfg)
	if err != nil {
		return err
	}
	if l.R, err = s.Param("_recurrent_kernel_", kernel, nh, 4*dh, dh); err != nil {
		return err
	}
	if l.Bias, err = s.Param("_bias_", bias, 4*d); err != nil {
		return err
	}
	l.cell = SLSTMCell{Heads: nh, DH: dh, R: l.R, Bias: l.Bias}
	memory := StatePart{Name: slstmPart, Shape: []int{4, d}, BatchAxis: 1}
	l.StateParts = append(l.StateParts, memory)
	s.remembers(memory)
	s.computes(func(steps int, _ CellConfig) (op, grad ops.Op) {
		c := ops.SLSTM{B: 1, T: steps, NH: nh, DH: dh}
		return c, ops.SLSTMGrad{SLSTM: c}
	})
	return nil
}

// biasInit returns the initialisation of the bias, stored gate by gate (i, f, z,
// o), head by head.
func biasInit(cfg SLSTMConfig) (Init, error) {
	d, dh := cfg.EmbeddingDim, cfg.EmbeddingDim/cfg.NumHeads
	forget := func(f func(j int) float64) Init {
		return func(_ *rand.Rand, values []float64) {
			clear(values)
			for j := range d {
				values[d+j] = f(j % dh)
			}
		}
	}
	switch cfg.BiasInit {
	case "", PowerlawBlockdependent:
		ratio := 0.0
		if cfg.NumBlocks > 1 {
			ratio = float64(cfg.Block) / float64(cfg.NumBlocks-1)
		}
		return forget(func(j int) float64 {
			if dh == 1 {
				return 5
			}
			return 5 - 12*math.Pow(float64(j)/float64(dh-1), 0.3+1.3*ratio)
		}), nil
	case SmallInit:
		return forget(func(j int) float64 {
			if dh == 1 {
				return 3
			}
			return 3 + 3*float64(j)/float64(dh-1)
		}), nil
	case ZerosInit:
		return Constant(0), nil
	case StandardInit:
		return Uniform(1 / sqrt(d)), nil
	}
	return nil, errors.Errorf("layers: sLSTM: bias init %q is not one of %q, %q, %q, %q", cfg.BiasInit, PowerlawBlockdependent, SmallInit, ZerosInit, StandardInit)
}

// Fwd maps x (B·T, D) to the same shape and returns the state after the last
// step; state may be nil for the initial state.
func (l *SLSTM) Fwd(x *gorgonia.Node, state *State) (*gorgonia.Node, *State, error) {
	if err := l.check(state); err != nil {
		return nil, nil, err
	}
	next := &State{}
	xs, err := l.gateInputs(x, state, next)
	if err != nil {
		return nil, nil, err
	}
	var g [4]*gorgonia.Node
	for k, gate := range []*HeadwiseLinear{l.i, l.f, l.z, l.o} {
		if g[k], err = gate.Fwd(xs[k]); err != nil {
			return nil, nil, err
		}
	}
	y, err := l.runCell(g, state.slstm(), next)
	if err != nil {
		return nil, nil, err
	}
	if y, err = l.s.Dropout(y, l.cfg.Dropout); err != nil {
		return nil, nil, err
	}
	y, err = l.norm.Fwd(y)
	return y, next, err
}

// gateInputs returns what the gates i, f, z and o read: the first two x behind
// the convolution, if there is one, the others x itself.
func (l *SLSTM) gateInputs(x *gorgonia.Node, state, next *State) ([]*gorgonia.Node, error) {
	if l.conv == nil {
		return nodes.Fork(x, 4)
	}
	xs, err := nodes.Fork(x, 3)
	if err != nil {
		return nil, err
	}
	var c *gorgonia.Node
	if c, next.Conv, err = l.conv.Fwd(xs[0], state.conv()); err != nil {
		return nil, err
	}
	cs, err := nodes.Fork(c, 2)
	return append(cs, xs[1:]...), err
}

// runCell runs the cell over the sequence and sets the new state.
func (l *SLSTM) runCell(g [4]*gorgonia.Node, state *gorgonia.Node, next *State) (y *gorgonia.Node, err error) {
	s := l.s.Sub("slstm_cell")
	if s.cells.Symbolic {
		y, next.SLSTM, err = symbolicSLSTM(s, l.cfg, g, l.R, l.Bias, state)
	} else {
		cfg := nodes.SLSTMConfig{Batch: s.batch, NumHeads: l.cfg.NumHeads, GradientClip: l.cfg.GradientClip, CutGradient: l.cfg.CutGradient, Resets: s.resets}
		y, next.SLSTM, err = nodes.SLSTM(cfg, g[0], g[1], g[2], g[3], l.R, l.Bias, state)
	}
	s.label(y)
	s.Sub("state").label(next.SLSTM)
	l.cell.I, l.cell.F, l.cell.Z, l.cell.O, l.cell.H = g[0], g[1], g[2], g[3], y
	return y, err
}
