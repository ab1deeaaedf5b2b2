package trace

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/layers"
)

// MLSTM is the trace of the memory of one mLSTM head, step by step (paper,
// equations 15–27). C and n are stabilised, that is, exp(−m) times the values
// of the equations without a stabiliser; see xlstm.State.Tensors for the
// scaling of keys.
type MLSTM struct {
	InputPre  []float64 `json:"input_pre"`  // i~
	ForgetPre []float64 `json:"forget_pre"` // f~
	LogForget []float64 `json:"log_forget"` // log σ(f~), the natural logarithm of the share of the memory that is kept
	Input     []float64 `json:"input"`      // i' = exp(i~ − m), in [0, 1]
	Forget    []float64 `json:"forget"`     // f' = exp(log σ(f~) + m_{t−1} − m), in [0, 1]
	M         []float64 `json:"m"`          // the stabiliser max(log σ(f~) + m_{t−1}, i~)
	CNorm     []float64 `json:"c_norm"`     // ‖C‖, Frobenius
	NNorm     []float64 `json:"n_norm"`     // ‖n‖
	QN        []float64 `json:"qn"`         // q·n, signed, with q or n scaled by 1/√DQK
	// Normalizer is max(|q·n|, exp(−m)); to it the cell adds an epsilon.
	Normalizer []float64 `json:"normalizer"`
	HNorm      []float64 `json:"h_norm"` // ‖h‖, the cell's output before norms and gates
	// Retrieval has a row for every step of the window. Row r, of step From+r,
	// has r+1 weights: element j is the share of token From+j's value in the
	// step's output, h = Σ_j weight_j·v_j, and may be negative. Nil without a
	// window, or if the head is not among those to keep.
	Retrieval [][]float64 `json:"retrieval,omitempty"`
	// Earlier is, for each row, the sum of the weights of all tokens before the
	// window. Together with it the weights of a row add up to q·n divided by
	// the normaliser.
	Earlier []float64 `json:"earlier,omitempty"`
}

// mlstmTracer follows the cell of an mLSTM block.
type mlstmTracer struct {
	cell  *layers.MLSTMCell
	heads []mlstmHeadTracer
}

// mlstmHeadTracer is one head's memory in float64.
type mlstmHeadTracer struct {
	trace               *MLSTM
	dqk, dhv            int
	scaleQ, scaleK, eps float64
	c, n                []float64 // C (DQK, DHV) row by row, n (DQK)
	m                   float64
	window              *retrieval // nil for none
	dev                 deviation
}

func (tr *tracer) newMLSTM(block int, cell *layers.MLSTMCell) *mlstmTracer {
	head := mlstmHeadTracer{dqk: cell.DQK, dhv: cell.DHV, scaleQ: cell.ScaleQ, scaleK: cell.ScaleK, eps: cell.Eps}
	x := &mlstmTracer{cell: cell}
	for h := range cell.Heads {
		head.trace = &MLSTM{}
		head.c, head.n = make([]float64, head.dqk*head.dhv), make([]float64, head.dqk)
		head.window = nil
		if tr.cfg.To > tr.cfg.From && (tr.cfg.Keep == nil || tr.cfg.Keep(block, h)) {
			head.window = &retrieval{from: tr.cfg.From, to: tr.cfg.To, before: make([]float64, head.dqk)}
		}
		x.heads = append(x.heads, head)
	}
	return x
}

func (x *mlstmTracer) read(from, n int) bool {
	q, k, v, i, f, h := elements(x.cell.Q.Value()), elements(x.cell.K.Value()), elements(x.cell.V.Value()), elements(x.cell.I.Value()), elements(x.cell.F.Value()), elements(x.cell.H.Value())
	for s := range n {
		for j := range x.heads {
			head, row := &x.heads[j], s*len(x.heads)+j
			ok := head.step(from+s, q[row*head.dqk:][:head.dqk], k[row*head.dqk:][:head.dqk], v[row*head.dhv:][:head.dhv], i[row], f[row], h[row*head.dhv:][:head.dhv])
			if !ok {
				return false
			}
		}
	}
	return true
}

// step reads token t; h is what the model's own cell gave. It returns false if a
// number is not finite.
func (x *mlstmHeadTracer) step(t int, q, k, v []float64, i, f float64, h []float64) bool {
	logF := logForget(f)
	m := math.Max(logF+x.m, i)
	input, forget := math.Exp(i-m), math.Exp(logF+x.m-m)
	x.m = m
	x.update(input*x.scaleK, forget, k, v)
	qn := x.scaleQ * dot(q, x.n)
	normalizer := math.Max(math.Abs(qn), math.Exp(-m))
	got := x.recall(q, x.scaleQ/(normalizer+x.eps))
	if x.window != nil {
		x.window.step(t, x, retrievalStep{q: q, k: k, i: i, logF: logF, forget: forget, scale: 1 / (normalizer + x.eps)})
	}
	finite := true
	for d, w := range h {
		x.dev.add(got[d], w)
		finite = finite && numbers.Finite(w)
	}
	o := x.trace
	for _, series := range []struct {
		to *[]float64
		x  float64
	}{
		{&o.InputPre, i}, {&o.ForgetPre, f}, {&o.LogForget, logF}, {&o.Input, input}, {&o.Forget, forget}, {&o.M, m},
		{&o.CNorm, norm(x.c)}, {&o.NNorm, norm(x.n)}, {&o.QN, qn}, {&o.Normalizer, normalizer}, {&o.HNorm, norm(got)},
	} {
		*series.to = append(*series.to, series.x)
		finite = finite && numbers.Finite(series.x)
	}
	return finite
}

// update is C = f'·C + i'·k·vᵀ and n = f'·n + i'·k (paper, equations 19 and 20),
// with the scale of the keys in the input gate.
func (x *mlstmHeadTracer) update(input, forget float64, k, v []float64) {
	for a := range x.n {
		share := input * k[a]
		x.n[a] = forget*x.n[a] + share
		row := x.c[a*x.dhv:][:x.dhv]
		for d := range row {
			row[d] = forget*row[d] + share*v[d]
		}
	}
}

// recall is scale·Cᵀq (paper, equation 21).
func (x *mlstmHeadTracer) recall(q []float64, scale float64) []float64 {
	h := make([]float64, x.dhv)
	for a, qa := range q {
		for d, c := range x.c[a*x.dhv:][:x.dhv] {
			h[d] += scale * qa * c
		}
	}
	return h
}

func (x *mlstmTracer) result() Block {
	var b Block
	for _, h := range x.heads {
		b.MLSTM = append(b.MLSTM, *h.trace)
		b.Deviation = math.Max(b.Deviation, h.dev.relative())
	}
	return b
}

// retrieval computes the rows of the matrix A_ij/N_i of the parallel form, A =
// (QKᵀ/√d) ⊙ D (paper, appendix A.3), for the steps of a window.
type retrieval struct {
	from, to int
	keys     [][]float64
	logs     []float64 // for each key, i~ and what the forget gates took from it since
	before   []float64 // what n has of the tokens before the window
}

// retrievalStep is one step of the cell.
type retrievalStep struct {
	q, k            []float64
	i, logF, forget float64
	scale           float64 // 1/(normaliser + eps)
}

// step takes part in the head's step t, in which its n and m are new.
func (r *retrieval) step(t int, x *mlstmHeadTracer, s retrievalStep) {
	if t < r.from {
		copy(r.before, x.n)
	}
	if t < r.from || t >= r.to {
		return
	}
	for a := range r.before {
		r.before[a] *= s.forget
	}
	for j := range r.logs {
		r.logs[j] += s.logF
	}
	r.keys, r.logs = append(r.keys, append([]float64(nil), s.k...)), append(r.logs, s.i)
	row := make([]float64, len(r.keys))
	for j, key := range r.keys {
		row[j] = x.scaleQ * x.scaleK * dot(s.q, key) * math.Exp(r.logs[j]-x.m) * s.scale
	}
	x.trace.Retrieval = append(x.trace.Retrieval, row)
	x.trace.Earlier = append(x.trace.Earlier, x.scaleQ*dot(s.q, r.before)*s.scale)
}
