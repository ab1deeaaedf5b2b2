package trace

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
)

// LSTM is the trace of the units of a layer of the classic LSTM, or of the
// simplified cell, step by step.
type LSTM struct {
	LogForget Spread `json:"log_forget"` // log f, natural
	Input     Spread `json:"input"`      // i: σ(i~) in [0, 1], or exp(LN(i~)) of the simplified cell
	Forget    Spread `json:"forget"`     // f: σ(f~), or σ(LN(f~)) of the simplified cell
	Output    Spread `json:"output"`     // o = σ(o~), in [0, 1]
	C         Spread `json:"c"`          // the memory c
	H         Spread `json:"h"`          // h = o·tanh(c), the layer's output
}

// lstmGates are a step's gates, and what it adds to the memory, of all units.
type lstmGates struct{ logF, input, output, adds []float64 }

// lstmTracer follows a layer of units with one memory each.
type lstmTracer struct {
	x          []*gorgonia.Node // as the cell has them
	r, y       *gorgonia.Node
	simplified bool
	h, c       []float64 // the model's own last output, and the memory
	units      LSTM
	dev        deviation
	// begin reads the weights of a run, and gates computes a step's gates from
	// their pre-activations.
	begin func()
	gates func(pre [4][]float64) lstmGates
}

// newLSTM follows a classic LSTM, whose gates are in the order i, f, g, o.
func newLSTM(cell *layers.LSTMCell) *lstmTracer {
	x := &lstmTracer{x: cell.X, r: cell.R, y: cell.H, h: make([]float64, cell.Hidden), c: make([]float64, cell.Hidden)}
	var bias []float64
	x.begin = func() { bias = elements(cell.Bias.Value()) }
	x.gates = func(pre [4][]float64) (g lstmGates) {
		n := cell.Hidden
		for j := range n {
			g.logF = append(g.logF, logForget(pre[1][j]+bias[n+j]))
			g.input = append(g.input, sigmoid(pre[0][j]+bias[j]))
			g.adds = append(g.adds, g.input[j]*math.Tanh(pre[2][j]+bias[2*n+j]))
			g.output = append(g.output, sigmoid(pre[3][j]+bias[3*n+j]))
		}
		return g
	}
	return x
}

// newSimplified follows a simplified cell, whose gates are in the order i, f, o, g.
func newSimplified(cell *layers.SimplifiedCell) *lstmTracer {
	x := &lstmTracer{x: cell.X, r: cell.R, y: cell.H, simplified: true, h: make([]float64, cell.Hidden), c: make([]float64, cell.Hidden)}
	var norms, memory []float64
	x.begin = func() { norms, memory = elements(cell.Norms.Value()), elements(cell.M.Value()) }
	x.gates = func(pre [4][]float64) (g lstmGates) {
		n := cell.Hidden
		i, f := layerNorm(pre[0], norms[:n], norms[n:2*n]), layerNorm(pre[1], norms[2*n:3*n], norms[3*n:])
		g.adds = make([]float64, n)
		for k := range n {
			g.logF, g.input, g.output = append(g.logF, logForget(f[k])), append(g.input, math.Exp(i[k])), append(g.output, sigmoid(pre[2][k]))
			for j, w := range memory[k*n : (k+1)*n] {
				g.adds[j] += math.Tanh(pre[3][k]) * w
			}
		}
		for j := range g.adds {
			g.adds[j] *= g.input[j]
		}
		return g
	}
	return x
}

func (x *lstmTracer) read(_, n int) bool {
	var inputs [4][]float64
	for k := range inputs {
		inputs[k] = x.inputs(k, n)
	}
	r, y, units := elements(x.r.Value()), elements(x.y.Value()), len(x.h)
	x.begin()
	for t := range n {
		var pre [4][]float64
		for k := range pre {
			for j := range units {
				pre[k] = append(pre[k], inputs[k][t*units+j]+dot(r[(k*units+j)*units:][:units], x.h))
			}
		}
		// The recurrence reads what the model gave, as the model's does.
		copy(x.h, y[t*units:])
		if !x.step(x.gates(pre)) {
			return false
		}
	}
	return true
}

// inputs returns the input parts of gate k at n steps, (n, units).
func (x *lstmTracer) inputs(k, n int) []float64 {
	if len(x.x) == 4 {
		return elements(x.x[k].Value())
	}
	units, all := len(x.h), elements(x.x[0].Value())
	part := make([]float64, 0, n*units)
	for t := range n {
		part = append(part, all[(4*t+k)*units:][:units]...)
	}
	return part
}

// step takes all units one step on, to the outputs that the model's own gave. It
// returns false if a number is not finite.
func (x *lstmTracer) step(g lstmGates) bool {
	forget, out, finite := make([]float64, len(x.c)), make([]float64, len(x.c)), true
	for j := range x.c {
		forget[j] = math.Exp(g.logF[j])
		x.c[j] = forget[j]*x.c[j] + g.adds[j]
		out[j] = g.output[j] * math.Tanh(x.c[j])
		x.dev.add(out[j], x.h[j])
		finite = finite && numbers.Finite(x.h[j]) && numbers.Finite(x.c[j]) && numbers.Finite(g.input[j])
	}
	x.units.LogForget.add(g.logF)
	x.units.Input.add(g.input)
	x.units.Forget.add(forget)
	x.units.Output.add(g.output)
	x.units.C.add(x.c)
	x.units.H.add(out)
	return finite
}

func (x *lstmTracer) result() Block {
	b := Block{Deviation: x.dev.relative()}
	if x.simplified {
		b.Simplified = []LSTM{x.units}
	} else {
		b.LSTM = []LSTM{x.units}
	}
	return b
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// layerNorm returns x with mean 0 and variance 1, times a scale and shifted.
func layerNorm(x, scale, shift []float64) []float64 {
	var mean, square float64
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		square += (v - mean) * (v - mean) / float64(len(x))
	}
	y := make([]float64, len(x))
	for j, v := range x {
		y[j] = scale[j]*(v-mean)/math.Sqrt(square+nodes.SimplifiedEps) + shift[j]
	}
	return y
}
