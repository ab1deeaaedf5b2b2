package layers

import (
	"cmp"
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
)

// MLSTMCell is an mLSTM cell in a graph (paper, section 2.3), per head with
// q̂ = ScaleQ·q and k̂ = ScaleK·k:
//
//	C' = f'·C + i'·k̂·vᵀ;  n' = f'·n + i'·k̂;  h = C'ᵀq̂ / (max(|q̂·n'|, exp(−m')) + Eps)
type MLSTMCell struct {
	Heads, DQK, DHV     int // the number of heads, and the widths of a head's keys and values
	ScaleQ, ScaleK, Eps float64
	Q, K                *gorgonia.Node // (B·T, Heads·DQK)
	V                   *gorgonia.Node // (B·T, Heads·DHV)
	I, F                *gorgonia.Node // (B·T, Heads), pre-activations of the gates
	H                   *gorgonia.Node // (B·T, Heads·DHV), the output
}

func (*MLSTMCell) isCell() {}

// mlstmLayer is what the mLSTM layers of both architectures share: the cell and
// its state.
type mlstmLayer struct {
	StateParts
	cell MLSTMCell
	cfg  nodes.MLSTMConfig
}

// Cell returns the layer's cell as Fwd built it, an *MLSTMCell.
func (l *mlstmLayer) Cell() Cell { return &l.cell }

// newMLSTMLayer describes a cell in a scope. scaleQueries and eps are those of
// nodes.MLSTMConfig. conv is the part of the state that comes before the cell's.
func newMLSTMLayer(s Scope, heads, dqk, dhv int, scaleQueries bool, eps float64, conv ...StatePart) mlstmLayer {
	l := mlstmLayer{
		cell: MLSTMCell{Heads: heads, DQK: dqk, DHV: dhv, Eps: cmp.Or(eps, nodes.DefaultEps)},
		cfg:  nodes.MLSTMConfig{Batch: s.batch, NumHeads: heads, ScaleQueries: scaleQueries, Eps: eps},
	}
	l.cell.ScaleQ, l.cell.ScaleK = mlstmScales(l.cfg, dqk)
	memory := StateParts{
		{Name: mlstmCPart, Shape: []int{heads, dqk, dhv}}, {Name: mlstmNPart, Shape: []int{heads, dqk}}, {Name: mlstmMPart, Shape: []int{heads}},
	}
	l.StateParts = append(conv, memory...)
	s.remembers(memory...)
	s.computes(func(steps int, cells CellConfig) (op, grad ops.Op) {
		c := ops.MLSTM{B: 1, T: steps, NH: heads, DQK: dqk, DHV: dhv, Form: ops.Form(cells.Form), Chunk: cmp.Or(cells.Chunk, nodes.DefaultChunk)}
		return c, ops.MLSTMGrad{MLSTM: c}
	})
	return l
}

// mlstmScales returns the factors of queries and keys.
func mlstmScales(cfg nodes.MLSTMConfig, dqk int) (q, k float64) {
	scale := 1 / math.Sqrt(float64(dqk))
	if cfg.ScaleQueries {
		return scale, 1
	}
	return 1, scale
}

// run runs the cell over the sequence and returns its output and its new state,
// in the scope that its nodes are named after.
func (l *mlstmLayer) run(s Scope, q, k, v, i, f *gorgonia.Node, state *State) (*gorgonia.Node, *State, error) {
	run := nodes.MLSTM
	if s.cells.Symbolic {
		run = func(cfg nodes.MLSTMConfig, q, k, v, i, f *gorgonia.Node, state *nodes.MLSTMState) (*gorgonia.Node, nodes.MLSTMState, error) {
			return symbolicMLSTM(s, cfg, q, k, v, i, f, state)
		}
	}
	cfg := l.cfg
	cfg.Form, cfg.Chunk, cfg.Resets = s.cells.Form, s.cells.Chunk, s.resets
	h, next, err := run(cfg, q, k, v, i, f, state.mlstm())
	if err != nil {
		return nil, nil, err
	}
	s.label(h)
	s.Sub("C").label(next.C)
	s.Sub("n").label(next.N)
	s.Sub("m").label(next.M)
	l.cell.Q, l.cell.K, l.cell.V, l.cell.I, l.cell.F, l.cell.H = q, k, v, i, f, h
	return h, &State{C: next.C, N: next.N, M: next.M}, nil
}
