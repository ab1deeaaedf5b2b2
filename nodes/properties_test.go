package nodes

import (
	"fmt"
	"math"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// tinyEps is as good as none.
const tinyEps = 1e-30

// outputs runs a case in float64 and returns its results.
func outputs(t *testing.T, c graphCase, values [][]float64) [][]float64 {
	t.Helper()
	m := compile(t, c, tensor.Float64)
	m.run(t, values)
	var out [][]float64
	for _, v := range m.results {
		out = append(out, elementsOf(v))
	}
	return out
}

// last returns the steps from step on of one sequence's values over time.
func last(v []float64, steps, from int) []float64 { return v[len(v)/steps*from:] }

func wantClose(t *testing.T, name string, got, want []float64, tolerance float64) {
	t.Helper()
	if d := apart(got, want); d > tolerance {
		t.Errorf("%s is %.3g away\n got %.6v\nwant %.6v", name, d, got, want)
	}
}

var forms = map[string]MLSTMConfig{
	"chunkwise": {Form: Chunkwise, Chunk: 4}, "in one chunk": {Form: Chunkwise}, "parallel": {Form: Parallel}, "recurrent": {Form: Recurrent},
}

func TestClosedForgetGateResetsTheMLSTM(t *testing.T) {
	const reset = 5
	whole, rest := size{1, 9, 2, 3}, size{1, 9 - reset, 2, 3}
	for name, cfg := range forms {
		cfg.Batch, cfg.NumHeads = 1, 2
		values := mlstmCase(cfg, whole, false).values(1)
		for h := range 2 {
			values[4][reset*2+h] = -extreme
		}
		got := outputs(t, mlstmCase(cfg, whole, false), values)
		var restValues [][]float64
		for _, v := range values {
			restValues = append(restValues, last(v, whole.t, reset))
		}
		want := outputs(t, mlstmCase(cfg, rest, false), restValues)
		wantClose(t, name+": h", last(got[0], whole.t, reset), want[0], 1e-10)
		for k, part := range []string{"C", "n", "m"} {
			wantClose(t, name+": "+part, got[k+1], want[k+1], 1e-10)
		}
	}
}

func TestClosedForgetGateResetsTheSLSTM(t *testing.T) {
	const reset = 5
	whole, rest := size{1, 9, 2, 3}, size{1, 9 - reset, 2, 3}
	values := slstmCase(whole, false).values(1)
	clear(values[4]) // the recurrence is not reset with the gate
	for k := range whole.nh * whole.dh {
		values[1][reset*6+k] = -extreme
	}
	got := outputs(t, slstmCase(whole, false), values)
	restValues := append([][]float64{}, values...)
	for k := range 4 {
		restValues[k] = last(values[k], whole.t, reset)
	}
	want := outputs(t, slstmCase(rest, false), restValues)
	wantClose(t, "y", last(got[0], whole.t, reset), want[0], 1e-13)
	wantClose(t, "state", got[1], want[1], 1e-13)
}

func TestConstantOnAllInputGatesLeavesTheMLSTMUnchangedAboveTheFloor(t *testing.T) {
	s := size{2, 9, 2, 3}
	for name, cfg := range forms {
		cfg.Batch, cfg.NumHeads, cfg.Eps = s.b, s.nh, tinyEps
		c := mlstmCase(cfg, s, false)
		// h is the output for inputs on which q·n is at least 0.4.
		h := func(shift float64) []float64 {
			values := c.values(1)
			for k := range values[0] {
				values[0][k], values[1][k] = 0.5+math.Abs(values[0][k]), 0.5+math.Abs(values[1][k])
			}
			for k := range values[3] {
				values[3][k] += shift
			}
			return outputs(t, c, values)[0]
		}
		// Above: the floor exp(−m) is at most exp(−4).
		wantClose(t, name, h(11), h(8), 1e-12)
		// Below it the outputs are proportional to exp(i~).
		a, b := h(-27), h(-30)
		for k := range a {
			a[k] *= math.Exp(27)
			b[k] *= math.Exp(30)
		}
		wantClose(t, name+" below the floor", a, b, 1e-12)
	}
}

func TestFirstSLSTMStepIsTheGatedInputWhateverTheOtherGates(t *testing.T) {
	s := size{2, 1, 2, 3}
	c := slstmCase(s, false)
	for _, i := range []float64{-extreme, -3, 0, 3, extreme} {
		for _, f := range []float64{-extreme, -3, 0, 3, extreme} {
			values := c.values(1)
			setGate(values[0], s.b, s.t, func(int) float64 { return i })
			setGate(values[1], s.b, s.t, func(int) float64 { return f })
			d := s.nh * s.dh
			want := make([]float64, s.b*d)
			for k := range want {
				z, o := values[2][k]+values[5][2*d+k%d], values[3][k]+values[5][3*d+k%d]
				want[k] = math.Tanh(z) / (1 + math.Exp(-o))
			}
			wantClose(t, fmt.Sprintf("y with i~ = %v, f~ = %v", i, f), outputs(t, c, values)[0], want, 1e-14)
		}
	}
}

func TestMLSTMFormsAreOneFunction(t *testing.T) {
	s := size{2, 21, 2, 3}
	for _, scaleQueries := range []bool{false, true} {
		var want [][]float64
		for _, name := range []string{"recurrent", "chunkwise", "in one chunk", "parallel"} {
			cfg := forms[name]
			cfg.Batch, cfg.NumHeads, cfg.Eps, cfg.ScaleQueries = s.b, s.nh, tinyEps, scaleQueries
			c := mlstmCase(cfg, s, false)
			all := c.build
			c.build = func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
				// The state is relative to m, which begins elsewhere in the
				// parallel form.
				ys, err := all(x)
				return ys[:1], err
			}
			values := c.values(1)
			for k := range values[3] {
				values[3][k] *= 4
				values[4][k] *= 4
			}
			m := compile(t, c, tensor.Float64)
			m.run(t, values)
			got := append([][]float64{elementsOf(m.results[0])}, m.gradients()...)
			if want == nil {
				want = got
				continue
			}
			for k, part := range []string{"h", "dq", "dk", "dv", "di", "df"} {
				wantClose(t, name+": "+part, got[k], want[k], 1e-11)
			}
		}
	}
}

func TestStateOfZerosIsTheStart(t *testing.T) {
	s := size{2, 5, 2, 3}
	zero := func(c graphCase, from int) [][]float64 {
		values := c.values(1)
		for _, v := range values[from:] {
			clear(v)
		}
		return values
	}
	for _, name := range []string{"chunkwise", "recurrent"} {
		cfg := forms[name]
		cfg.Batch, cfg.NumHeads = s.b, s.nh
		start, continued := mlstmCase(cfg, s, false), mlstmCase(cfg, s, true)
		got, want := outputs(t, continued, zero(continued, 5)), outputs(t, start, start.values(1))
		for k, part := range []string{"h", "C", "n", "m"} {
			wantClose(t, name+": "+part, got[k], want[k], 0)
		}
	}
	start, continued := slstmCase(s, false), slstmCase(s, true)
	got, want := outputs(t, continued, zero(continued, 6)), outputs(t, start, start.values(1))
	wantClose(t, "sLSTM: y", got[0], want[0], 0)
	wantClose(t, "sLSTM: state", got[1], want[1], 0)
	start, continued = lstmCase(2, 5, 3, false), lstmCase(2, 5, 3, true)
	got, want = outputs(t, continued, zero(continued, 3)), outputs(t, start, start.values(1))
	wantClose(t, "LSTM: h", got[0], want[0], 0)
	wantClose(t, "LSTM: state", got[1], want[1], 0)
	start, continued = simplifiedCase(2, 5, 4, false), simplifiedCase(2, 5, 4, true)
	got, want = outputs(t, continued, zero(continued, 4)), outputs(t, start, start.values(1))
	wantClose(t, "simplified: h", got[0], want[0], 0)
	wantClose(t, "simplified: state", got[1], want[1], 0)
}
