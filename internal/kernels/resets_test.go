package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

const resetSteps = 9

// resetCases are beginnings of documents in two sequences of resetSteps steps.
var resetCases = map[string][2][]int{
	"none":               {nil, nil},
	"first step":         {{0}, nil},
	"last step":          {nil, {8}},
	"two in a row":       {{4, 5}, {3}},
	"next to both ends":  {{1}, {7}},
	"everywhere at once": {{0, 1, 2, 3, 4, 5, 6, 7, 8}, {0, 8}},
}

func resetsAt(starts [2][]int) Resets {
	r := make(Resets, 2*resetSteps)
	for b, ts := range starts {
		for _, t := range ts {
			r[b*resetSteps+t] = 1
		}
	}
	return r
}

// part is the rows of one document in an array of two sequences, width to a row.
func part(x []float64, p span, width int) []float64 {
	return x[(p.b*resetSteps+p.from)*width : (p.b*resetSteps+p.to)*width]
}

// documents calls f for every document of the batch.
func documents(r Resets, f func(p span)) {
	for b := range 2 {
		for p := range r.spans(resetSteps, b) {
			f(p)
		}
	}
}

func sameNumbers(t *testing.T, what string, got, want []float64) {
	t.Helper()
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= 1e-11*(1+math.Abs(want[i]))) {
			t.Errorf("%s[%d] = %v, the document alone has %v", what, i, got[i], want[i])
			return
		}
	}
}

func allZero(t *testing.T, what string, x []float64) {
	t.Helper()
	if slices.ContainsFunc(x, func(v float64) bool { return v != 0 }) {
		t.Errorf("%s is not zero: %v", what, x)
	}
}

func half(x []float64, b int) []float64 { return x[b*len(x)/2 : (b+1)*len(x)/2] }

func halfState(st MLSTMState[float64], b int) MLSTMState[float64] {
	return MLSTMState[float64]{half(st.C, b), half(st.N, b), half(st.M, b)}
}

// alone is the case of one document, which begins without a state unless it
// continues.
func (c mlstmCase) alone(p span) mlstmCase {
	qk, hv, s := c.s.NH*c.s.DQK, c.s.NH*c.s.DHV, c.s
	s.B, s.T, s.Resets = 1, p.to-p.from, nil
	d := mlstmCase{s: s, q: part(c.q, p, qk), k: part(c.k, p, qk), v: part(c.v, p, hv), i: part(c.i, p, s.NH), f: part(c.f, p, s.NH), dh: part(c.dh, p, hv), dLast: zeroState[float64](s)}
	if p.to == resetSteps {
		d.dLast = halfState(c.dLast, p.b)
	}
	if !p.fresh && c.state.C != nil {
		d.state = halfState(c.state, p.b)
	} else {
		d.state = zeroState[float64](s)
	}
	return d
}

func TestMLSTMResetsEqualDocumentsAlone(t *testing.T) {
	for name, starts := range resetCases {
		for _, chunk := range []int{1, 3, 64} {
			for _, recurrent := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/chunk %d/recurrent %v", name, chunk, recurrent), func(t *testing.T) {
					s := MLSTM{B: 2, T: resetSteps, NH: 2, DQK: 3, DHV: 4, Chunk: chunk, ScaleQ: 1, ScaleK: 0.5, Eps: 1e-2, Resets: resetsAt(starts)}
					checkMLSTMResets(t, newMLSTMCase(5, s, 1, true), recurrent)
				})
			}
		}
	}
}

func checkMLSTMResets(t *testing.T, c mlstmCase, recurrent bool) {
	got, nh := c.run(recurrent), c.s.NH
	qk, hv := nh*c.s.DQK, nh*c.s.DHV
	documents(c.s.Resets, func(p span) {
		want := c.alone(p).run(recurrent)
		sameNumbers(t, "h", part(got.h, p, hv), want.h)
		sameNumbers(t, "dq", part(got.grads.Q, p, qk), want.grads.Q)
		sameNumbers(t, "dk", part(got.grads.K, p, qk), want.grads.K)
		sameNumbers(t, "dv", part(got.grads.V, p, hv), want.grads.V)
		sameNumbers(t, "di", part(got.grads.I, p, nh), want.grads.I)
		sameNumbers(t, "df", part(got.grads.F, p, nh), want.grads.F)
		if p.to == resetSteps {
			last := halfState(got.last, p.b)
			sameNumbers(t, "C", last.C, want.last.C)
			sameNumbers(t, "n", last.N, want.last.N)
			sameNumbers(t, "m", last.M, want.last.M)
		}
		switch first := halfState(got.grads.State, p.b); {
		case p.from == 0 && p.fresh:
			allZero(t, "the gradient of the initial state", slices.Concat(first.C, first.N, first.M))
		case p.from == 0:
			sameNumbers(t, "dC", first.C, want.grads.State.C)
			sameNumbers(t, "dn", first.N, want.grads.State.N)
			sameNumbers(t, "dm", first.M, want.grads.State.M)
		}
	})
}

// slstmResetRun is a scan with everything that it returns.
type slstmResetRun struct {
	y, last []float64
	grads   SLSTMGrads[float64]
}

func runSLSTMResets(s SLSTM, x [4][]float64, r, bias, state, dy, dNew []float64) slstmResetRun {
	n := s.B * s.T * s.NH * s.DH
	o := slstmResetRun{y: make([]float64, n), last: make([]float64, len(dNew))}
	o.grads = SLSTMGrads[float64]{R: make([]float64, len(r)), Bias: make([]float64, len(bias)), State: make([]float64, len(dNew))}
	for k := range o.grads.X {
		o.grads.X[k] = make([]float64, n)
	}
	tape := SLSTMTapeOf(s, make([]float64, s.TapeSize()))
	SLSTMForward(s, x, r, bias, state, o.y, o.last, tape)
	SLSTMBackward(s, r, state, o.y, o.last, tape, dy, dNew, o.grads)
	return o
}

// rowOf is the part of a state [4,2,D] that belongs to sequence b.
func rowOf(x []float64, b, d int) (row []float64) {
	for k := range 4 {
		row = append(row, x[(2*k+b)*d:(2*k+b+1)*d]...)
	}
	return row
}

func TestSLSTMResetsEqualDocumentsAlone(t *testing.T) {
	for name, starts := range resetCases {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 1))
			s := SLSTM{B: 2, T: resetSteps, NH: 2, DH: 3, Clip: math.Inf(1), Resets: resetsAt(starts)}
			d := s.NH * s.DH
			var x [4][]float64
			for k := range x {
				x[k] = normals(r, 2*resetSteps*d, 1, 0)
			}
			w, bias := normals(r, 4*d*s.DH, 0.5, 0), normals(r, 4*d, 1, 0)
			state, dy, dNew := normals(r, 8*d, 1, 0), normals(r, 2*resetSteps*d, 1, 0), normals(r, 8*d, 1, 0)
			for i := 4 * d; i < 6*d; i++ {
				state[i] = 1 + math.Abs(state[i]) // n is positive
			}
			got := runSLSTMResets(s, x, w, bias, state, dy, dNew)
			dr, dbias := make([]float64, len(w)), make([]float64, len(bias))
			documents(s.Resets, func(p span) {
				one, xs, begin, end := s, x, make([]float64, 4*d), make([]float64, 4*d)
				one.B, one.T, one.Resets = 1, p.to-p.from, nil
				for k := range xs {
					xs[k] = part(x[k], p, d)
				}
				if !p.fresh {
					begin = rowOf(state, p.b, d)
				}
				if p.to == resetSteps {
					end = rowOf(dNew, p.b, d)
				}
				want := runSLSTMResets(one, xs, w, bias, begin, part(dy, p, d), end)
				sameNumbers(t, "y", part(got.y, p, d), want.y)
				for k := range xs {
					sameNumbers(t, "dx", part(got.grads.X[k], p, d), want.grads.X[k])
				}
				for i, v := range want.grads.R {
					dr[i] += v
				}
				for i, v := range want.grads.Bias {
					dbias[i] += v
				}
				if p.to == resetSteps {
					sameNumbers(t, "state", rowOf(got.last, p.b, d), want.last)
				}
				switch first := rowOf(got.grads.State, p.b, d); {
				case p.from == 0 && p.fresh:
					allZero(t, "the gradient of the initial state", first)
				case p.from == 0:
					sameNumbers(t, "dstate", first, want.grads.State)
				}
			})
			sameNumbers(t, "dR", got.grads.R, dr)
			sameNumbers(t, "dbias", got.grads.Bias, dbias)
		})
	}
}

type convResetRun struct{ y, last, dx, dw, dbias, dWindow []float64 }

func runConvResets(s Conv, x, w, bias, window, dy, dNew []float64) convResetRun {
	o := convResetRun{make([]float64, len(x)), make([]float64, len(window)), make([]float64, len(x)), make([]float64, len(w)), make([]float64, len(bias)), make([]float64, len(window))}
	ConvForward(s, x, w, bias, window, o.y, o.last)
	ConvBackward(s, x, w, bias, window, dy, dNew, o.dx, o.dw, o.dbias, o.dWindow)
	return o
}

func TestConvResetsEqualDocumentsAlone(t *testing.T) {
	for name, starts := range resetCases {
		for _, k := range []int{1, 3, 4} {
			t.Run(fmt.Sprintf("%s/kernel %d", name, k), func(t *testing.T) {
				r := rand.New(rand.NewPCG(3, 1))
				s := Conv{B: 2, T: resetSteps, D: 5, K: k, SiLU: true, Resets: resetsAt(starts)}
				x, dy := normals(r, 2*resetSteps*s.D, 1, 0), normals(r, 2*resetSteps*s.D, 1, 0)
				w, bias, window, dNew := normals(r, s.D*k, 1, 0), normals(r, s.D, 1, 0), normals(r, 2*k*s.D, 1, 0), normals(r, 2*k*s.D, 1, 0)
				got := runConvResets(s, x, w, bias, window, dy, dNew)
				dw, dbias := make([]float64, len(w)), make([]float64, len(bias))
				documents(s.Resets, func(p span) {
					one, begin, end := s, make([]float64, k*s.D), make([]float64, k*s.D)
					one.B, one.T, one.Resets = 1, p.to-p.from, nil
					if !p.fresh {
						begin = half(window, p.b)
					}
					if p.to == resetSteps {
						end = half(dNew, p.b)
					}
					want := runConvResets(one, part(x, p, s.D), w, bias, begin, part(dy, p, s.D), end)
					sameNumbers(t, "y", part(got.y, p, s.D), want.y)
					sameNumbers(t, "dx", part(got.dx, p, s.D), want.dx)
					for i, v := range want.dw {
						dw[i] += v
					}
					for i, v := range want.dbias {
						dbias[i] += v
					}
					if p.to == resetSteps {
						sameNumbers(t, "window", half(got.last, p.b), want.last)
					}
					switch first := half(got.dWindow, p.b); {
					case p.from == 0 && p.fresh:
						allZero(t, "the gradient of the initial window", first)
					case p.from == 0:
						sameNumbers(t, "dwindow", first, want.dWindow)
					}
				})
				sameNumbers(t, "dw", got.dw, dw)
				sameNumbers(t, "dbias", got.dbias, dbias)
			})
		}
	}
}
