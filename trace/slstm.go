package trace

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"gorgonia.org/gorgonia"
)

// SLSTM is the trace of the cells of one sLSTM head, step by step (paper,
// equations 8–17).
type SLSTM struct {
	LogForget Spread `json:"log_forget"` // log σ(f~), natural
	Input     Spread `json:"input"`      // i' = exp(i~ − m), in [0, 1]
	Forget    Spread `json:"forget"`     // f' = exp(log σ(f~) + m_{t−1} − m), in [0, 1]
	Output    Spread `json:"output"`     // o = σ(o~), in [0, 1]
	Content   Spread `json:"content"`    // c/n, the content of a cell, in [−1, 1]
	N         Spread `json:"n"`          // the normaliser n, stabilised
	M         Spread `json:"m"`          // the stabiliser max(log σ(f~) + m_{t−1}, i~)
	H         Spread `json:"h"`          // h = o·c/n, the cell's output before norms
}

// Spread is a quantity over time, with its mean and range over the cells of a
// head.
type Spread struct {
	Mean []float64 `json:"mean"`
	Min  []float64 `json:"min"`
	Max  []float64 `json:"max"`
}

// add appends a step's values.
func (s *Spread) add(cells []float64) {
	sum, low, high := 0.0, math.Inf(1), math.Inf(-1)
	for _, x := range cells {
		sum, low, high = sum+x, math.Min(low, x), math.Max(high, x)
	}
	s.Mean, s.Min, s.Max = append(s.Mean, sum/float64(len(cells))), append(s.Min, low), append(s.Max, high)
}

// slstmTracer follows the cell of an sLSTM block.
type slstmTracer struct {
	cell    *layers.SLSTMCell
	dh      int
	c, n, m []float64 // (D)
	y       []float64 // (D), the model's own last output
	heads   []*SLSTM
	devs    []deviation
}

func (tr *tracer) newSLSTM(cell *layers.SLSTMCell) *slstmTracer {
	d := cell.Heads * cell.DH
	x := &slstmTracer{cell: cell, dh: cell.DH, devs: make([]deviation, cell.Heads)}
	x.c, x.n, x.m, x.y = make([]float64, d), make([]float64, d), make([]float64, d), make([]float64, d)
	for range cell.Heads {
		x.heads = append(x.heads, &SLSTM{})
	}
	return x
}

func (x *slstmTracer) read(_, n int) bool {
	var gates [4][]float64
	for k, n := range []*gorgonia.Node{x.cell.I, x.cell.F, x.cell.Z, x.cell.O} {
		gates[k] = elements(n.Value())
	}
	r, bias, y, d := elements(x.cell.R.Value()), elements(x.cell.Bias.Value()), elements(x.cell.H.Value()), len(x.y)
	for t := range n {
		for h := range x.heads {
			var pre [4][]float64
			for k := range pre {
				pre[k] = x.preActivation(h, k, gates[k][t*d:], r, bias)
			}
			if !x.step(h, pre, y[t*d+h*x.dh:][:x.dh]) {
				return false
			}
		}
		// The recurrence reads what the model gave, as the model's does.
		copy(x.y, y[t*d:])
	}
	return true
}

// preActivation is g~ = x_g + R_g·y + b_g of head h for gate k, of a step whose
// inputs are xs (D); R is (NH, 4·DH, DH), the bias (4·D) gate by gate.
func (x *slstmTracer) preActivation(h, k int, xs, r, bias []float64) []float64 {
	pre, at, dh := make([]float64, x.dh), h*x.dh, x.dh
	for j := range pre {
		row := r[((h*4+k)*dh+j)*dh:][:dh]
		pre[j] = xs[at+j] + dot(row, x.y[at:at+dh]) + bias[k*len(x.y)+at+j]
	}
	return pre
}

// step takes head h one step on, from the pre-activations of i, f, z and o; y is
// what the model's own cells gave. It returns false if a number is not finite.
func (x *slstmTracer) step(h int, pre [4][]float64, y []float64) bool {
	cells := func() []float64 { return make([]float64, x.dh) }
	logF, input, forget, output, content, out := cells(), cells(), cells(), cells(), cells(), cells()
	at, finite := h*x.dh, true
	c, n, m := x.c[at:][:x.dh], x.n[at:][:x.dh], x.m[at:][:x.dh]
	for j := range y {
		logF[j] = logForget(pre[1][j])
		lf, i := logF[j]+m[j], pre[0][j]
		if m[j] = math.Max(lf, i); n[j] == 0 {
			m[j] = i // an empty memory needs no room
		}
		input[j], forget[j] = math.Exp(i-m[j]), math.Exp(math.Min(lf-m[j], 0))
		c[j] = forget[j]*c[j] + input[j]*math.Tanh(pre[2][j])
		n[j] = forget[j]*n[j] + input[j]
		output[j], content[j] = 1/(1+math.Exp(-pre[3][j])), c[j]/n[j]
		out[j] = output[j] * content[j]
		x.devs[h].add(out[j], y[j])
		finite = finite && numbers.Finite(y[j]) && numbers.Finite(out[j]) && numbers.Finite(m[j])
	}
	o := x.heads[h]
	o.LogForget.add(logF)
	o.Input.add(input)
	o.Forget.add(forget)
	o.Output.add(output)
	o.Content.add(content)
	o.N.add(n)
	o.M.add(m)
	o.H.add(out)
	return finite
}

func (x *slstmTracer) result() Block {
	var b Block
	for h, t := range x.heads {
		b.SLSTM = append(b.SLSTM, *t)
		b.Deviation = math.Max(b.Deviation, x.devs[h].relative())
	}
	return b
}
