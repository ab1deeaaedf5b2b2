package nodes

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Form is an algorithm for the mLSTM cell. Chunkwise, with any chunk length, and
// Recurrent compute the same function. Parallel computes it up to Eps: as in the
// official code it begins with the stabiliser at −∞ where the others begin with 0,
// and Eps is added to a normaliser that is divided by exp(m). With xLSTM-7B's
// defaults outputs differ by about 1e-5, also in float64.
type Form int

const (
	// Chunkwise computes chunks of the sequence as matrix products and carries
	// the memory from one to the next: linear in time. This form is used for
	// training.
	Chunkwise = Form(ops.Chunkwise)
	// Parallel computes all steps at once: quadratic in time, without an
	// initial state (paper, appendix A.3).
	Parallel = Form(ops.Parallel)
	// Recurrent computes one step after the other (paper, equations 19–27).
	Recurrent = Form(ops.Recurrent)
)

const (
	// DefaultChunk is the chunk length of the chunkwise form where it does not
	// matter: a device uses the length that is best for it.
	DefaultChunk = ops.DefaultChunk
	// DefaultEps is the constant that the official code adds to the normaliser.
	DefaultEps = 1e-6
)

// MLSTMConfig configures an mLSTM cell.
type MLSTMConfig struct {
	Batch, NumHeads int
	Form            Form
	// Chunk is the chunk length of the chunkwise form; 0 means DefaultChunk.
	// The last chunk may be shorter.
	Chunk int
	// ScaleQueries divides the queries by √DQK, so that the memory stores
	// unscaled keys, as in xLSTM-7B. Otherwise the keys are divided, as in the
	// paper's code.
	ScaleQueries bool
	// Eps is added to the normaliser; 0 means DefaultEps.
	Eps float64
	// Resets (B·T integers, nil for none) are not 0 where a document begins;
	// the memory is empty before such a step.
	Resets *gorgonia.Node
}

// MLSTMState is the memory of an mLSTM cell: C (B, NH, DQK, DHV), N (B, NH,
// DQK) and the stabiliser M (B, NH). All zeros are an empty memory.
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
	ps, err := results(spec{op: s, diff: func(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return mlstmDiff(s, in, out, grad)
	}}, withResets(in, cfg.Resets)...)
	if err != nil {
		return nil, next, err
	}
	return ps[0], MLSTMState{C: ps[1], N: ps[2], M: ps[3]}, nil
}

func newMLSTM(cfg MLSTMConfig, q, k, v, i, f *gorgonia.Node, state *MLSTMState) (s ops.MLSTM, err error) {
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
	s = ops.MLSTM{
		B: cfg.Batch, T: rows / cfg.Batch, NH: cfg.NumHeads, Form: ops.Form(cfg.Form), State: state != nil, Resets: cfg.Resets != nil,
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

// mlstmDiff adds the backward pass. It reads the inputs, h, and the gradients of
// those parts of the result that were used.
func mlstmDiff(s ops.MLSTM, in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	grads, err := unput(4, grad)
	if err != nil {
		return nil, err
	}
	some, has := present(grads)
	in, resets := cutResets(in)
	h, err := part(out, 0)
	if err != nil {
		return nil, err
	}
	return gradientsReset(ops.MLSTMGrad{MLSTM: s, Has: [4]bool(has)}, resets, join(join(in, h), some...)...)
}
