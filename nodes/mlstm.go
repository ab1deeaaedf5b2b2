package nodes

import (
	"fmt"
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Form is a way to compute the mLSTM cell. All forms are the same function.
type Form int

const (
	// Chunkwise computes chunks of the sequence as matrix products and carries
	// the memory from one to the next: linear in time. The form that trains.
	Chunkwise Form = iota
	// Parallel computes all steps at once: quadratic in time, without a state
	// to begin from (paper, appendix A.3).
	Parallel
	// Recurrent computes step after step (paper, equations 19–27).
	Recurrent
)

const (
	// DefaultChunk is the chunk length of the chunkwise form.
	DefaultChunk = 64
	// DefaultEps is what the official code adds to the normaliser.
	DefaultEps = 1e-6
)

// MLSTMConfig describes an mLSTM cell.
type MLSTMConfig struct {
	Batch, NumHeads int
	Form            Form
	// Chunk is the chunk length of the chunkwise form; 0 means DefaultChunk.
	// The last chunk may be shorter.
	Chunk int
	// ScaleQueries divides the queries by √DQK, so that the memory holds the
	// keys as they are, as in xLSTM-7B. Else the keys are divided, as in the
	// paper's code.
	ScaleQueries bool
	// Eps is added to the normaliser; 0 means DefaultEps.
	Eps float64
	// Resets (B·T integers, nil for none) are not 0 where a document begins: the
	// memory is empty before such a step.
	Resets *gorgonia.Node
}

// MLSTMState is the memory of an mLSTM cell: C (B, NH, DQK, DHV), N (B, NH, DQK)
// and the stabiliser M (B, NH). All zero stands for an empty memory.
type MLSTMState struct{ C, N, M *gorgonia.Node }

func (s MLSTMState) nodes() gorgonia.Nodes { return gorgonia.Nodes{s.C, s.N, s.M} }

// MLSTM runs an mLSTM cell over a sequence (paper, equations 19–27). Per head:
//
//	m' = max(log σ(f~) + m, i~);  i' = exp(i~ − m');  f' = exp(log σ(f~) + m − m')
//	C' = f'·C + i'·k·vᵀ;  n' = f'·n + i'·k
//	h  = C'ᵀq / (max(|q·n'|, exp(−m')) + eps)
//
// with q or k scaled by 1/√DQK. q and k are (B·T, NH·DQK), v (B·T, NH·DHV), the
// gates' pre-activations i and f (B·T, NH); state may be nil for an empty memory.
// It returns h (B·T, NH·DHV) and the new state. The derivative is exact, through
// the normaliser, the stabiliser and the state.
func MLSTM(cfg MLSTMConfig, q, k, v, i, f *gorgonia.Node, state *MLSTMState) (h *gorgonia.Node, next MLSTMState, err error) {
	s, err := newMLSTM(cfg, q, k, v, i, f, state)
	if err != nil {
		return nil, next, err
	}
	in := gorgonia.Nodes{q, k, v, i, f}
	if state != nil {
		in = append(in, state.nodes()...)
	}
	in = withResets(in, cfg.Resets)
	l := layout{v.Shape(), {s.B, s.NH, s.DQK, s.DHV}, {s.B, s.NH, s.DQK}, {s.B, s.NH}}
	packed, err := apply(spec{
		name: "mLSTM", attrs: fmt.Sprintf("%d %+v", cfg.Form, s), ints: resetInput(in, cfg.Resets),
		run: kernelPair{mlstmForward[float32](cfg.Form, s), mlstmForward[float64](cfg.Form, s)},
		diff: func(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
			return mlstmDiff(cfg.Form, s, l, in, out, grad)
		},
	}.packed(l), in...)
	if err != nil {
		return nil, next, err
	}
	ps, err := parts(packed)
	if err != nil {
		return nil, next, err
	}
	return ps[0], MLSTMState{C: ps[1], N: ps[2], M: ps[3]}, nil
}

func newMLSTM(cfg MLSTMConfig, q, k, v, i, f *gorgonia.Node, state *MLSTMState) (s kernels.MLSTM, err error) {
	if cfg.Form < Chunkwise || cfg.Form > Recurrent {
		return s, errors.Errorf("nodes: MLSTM: there is no form %d", cfg.Form)
	}
	if err := firstError(sameShape("MLSTM", q, k), sameShape("MLSTM", i, f), wantShape("MLSTM", "q", q, -1, -1), wantRows("MLSTM", q, cfg.Batch)); err != nil {
		return s, err
	}
	rows := q.Shape()[0]
	if err := firstError(wantShape("MLSTM", "v", v, rows, -1), wantShape("MLSTM", "i", i, rows, cfg.NumHeads),
		wantHeads("MLSTM", q, cfg.NumHeads), wantHeads("MLSTM", v, cfg.NumHeads), wantResets("MLSTM", cfg.Resets, rows)); err != nil {
		return s, err
	}
	s = kernels.MLSTM{
		B: cfg.Batch, T: rows / cfg.Batch, NH: cfg.NumHeads,
		DQK: q.Shape()[1] / cfg.NumHeads, DHV: v.Shape()[1] / cfg.NumHeads, ScaleQ: 1, ScaleK: 1, Eps: cfg.Eps,
	}
	scale := 1 / math.Sqrt(float64(s.DQK))
	if cfg.ScaleQueries {
		s.ScaleQ = scale
	} else {
		s.ScaleK = scale
	}
	if s.Eps == 0 {
		s.Eps = DefaultEps
	}
	if !(s.Eps > 0) {
		return s, errors.Errorf("nodes: MLSTM: eps is %v; it must be positive", cfg.Eps)
	}
	if cfg.Form == Chunkwise {
		if s.Chunk = cfg.Chunk; s.Chunk <= 0 {
			s.Chunk = DefaultChunk
		}
	}
	if state == nil {
		return s, nil
	}
	if cfg.Form == Parallel {
		return s, errors.New("nodes: MLSTM: the parallel form begins from an empty memory; use Chunkwise to continue from a state")
	}
	return s, firstError(wantShape("MLSTM", "C", state.C, s.B, s.NH, s.DQK, s.DHV), wantShape("MLSTM", "N", state.N, s.B, s.NH, s.DQK), wantShape("MLSTM", "M", state.M, s.B, s.NH))
}

// memory makes a kernel's state of three slices.
func memory[F kernels.Float](c [][]F) kernels.MLSTMState[F] {
	return kernels.MLSTMState[F]{C: c[0], N: c[1], M: c[2]}
}

// memoryOf makes a kernel's state of three operands, none if they are not there.
func memoryOf[F kernels.Float](in []operand[F], has bool) (st kernels.MLSTMState[F]) {
	if has {
		st = kernels.MLSTMState[F]{C: in[0].data, N: in[1].data, M: in[2].data}
	}
	return st
}

func mlstmForward[F kernels.Float](form Form, s kernels.MLSTM) kernel[F] {
	run := kernels.MLSTMForward[F]
	if form == Recurrent {
		run = kernels.MLSTMRecurrentForward[F]
	}
	return func(out [][]F, in []operand[F]) error {
		s := s
		in, s.Resets = takeResets(in)
		last := memory([][]F{out[1], out[2], out[3]})
		run(s, in[0].data, in[1].data, in[2].data, in[3].data, in[4].data, memoryOf(in[5:], len(in) > 5), out[0], last)
		return nil
	}
}

// mlstmDiff adds the backward pass. It reads the inputs, all parts of the result
// and the gradients of those parts that were used.
func mlstmDiff(form Form, s kernels.MLSTM, l layout, in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	grads, err := unput(l, grad)
	if err != nil {
		return nil, err
	}
	some, has := present(grads)
	in, resets := cutResets(in)
	results, err := parts(out)
	if err != nil {
		return nil, err
	}
	var lg layout
	for _, n := range in {
		lg = append(lg, n.Shape())
	}
	run := kernelPair{mlstmBackward[float32](form, s, l, lg, has), mlstmBackward[float64](form, s, l, lg, has)}
	return resetGrads("mLSTM'", fmt.Sprintf("%d %+v %v", form, s, has), lg, run, resets, join(join(in, results...), some...)...)
}

func mlstmBackward[F kernels.Float](form Form, s kernels.MLSTM, l, lg layout, has []bool) kernel[F] {
	return func(out [][]F, in []operand[F]) error {
		s := s
		in, s.Resets = takeResets(in)
		n := len(lg)
		x, results := in[:n], in[n:n+4]
		d := spread(in[n+4:], has)
		var dLast kernels.MLSTMState[F]
		if has[1] || has[2] || has[3] {
			// A part of the state without a gradient has the gradient zero.
			for k := 1; k < 4; k++ {
				if !has[k] {
					d[k] = make([]F, l[k].TotalSize())
				}
			}
			dLast = memory(d[1:])
		}
		grads := kernels.MLSTMGrads[F]{Q: out[0], K: out[1], V: out[2], I: out[3], F: out[4]}
		if n > 5 {
			grads.State = memory([][]F{out[5], out[6], out[7]})
		}
		state := memoryOf(x[5:], n > 5)
		if form == Recurrent {
			kernels.MLSTMRecurrentBackward(s, x[0].data, x[1].data, x[2].data, x[3].data, x[4].data, state, d[0], dLast, grads)
			return nil
		}
		kernels.MLSTMBackward(s, x[0].data, x[1].data, x[2].data, x[3].data, x[4].data, state, results[0].data, memoryOf(results[1:], true), d[0], dLast, grads)
		return nil
	}
}
