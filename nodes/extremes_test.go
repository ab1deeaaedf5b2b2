package nodes

import (
	"fmt"
	"math"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

const extreme = 1e4

// wantFinite runs a case on values by name and reports what is not finite.
func wantFinite(t *testing.T, c graphCase, all map[string][][]float64) {
	t.Helper()
	for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		m := compile(t, c, dt)
		for name, values := range all {
			m.run(t, values)
			for k, v := range m.results {
				if !finite(elementsOf(v)) {
					t.Errorf("%v, %s: result %d is %v", dt, name, k, elementsOf(v))
				}
			}
			for k, g := range m.gradients() {
				if !finite(g) {
					t.Errorf("%v, %s: the gradient of %s is %v", dt, name, c.inputs[k].name, g)
				}
			}
		}
	}
}

func finite(xs []float64) bool {
	for _, x := range xs {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}

// patterns are gates over time: always at one extreme, and from one to the other.
var patterns = map[string]func(t int) float64{
	"+":  func(int) float64 { return extreme },
	"-":  func(int) float64 { return -extreme },
	"+-": func(t int) float64 { return extreme * float64(1-2*(t%2)) },
	"-+": func(t int) float64 { return extreme * float64(2*(t%2)-1) },
}

// setGate writes a pattern to a gate's pre-activations (B·T, width).
func setGate(gate []float64, batch, steps int, pattern func(t int) float64) {
	width := len(gate) / (batch * steps)
	for k := range gate {
		gate[k] = pattern(k / width % steps)
	}
}

// size is a batch, a length, heads and a head's width.
type size struct{ b, t, nh, dh int }

var sizes = []size{{1, 1, 1, 1}, {1, 5, 1, 1}, {2, 6, 2, 3}}

func TestMLSTMIsFiniteAtExtremeGates(t *testing.T) {
	for name, form := range map[string]Form{"chunkwise": Chunkwise, "parallel": Parallel, "recurrent": Recurrent} {
		for _, s := range sizes {
			for _, continued := range []bool{false, true} {
				if continued && form == Parallel {
					continue
				}
				t.Run(fmt.Sprintf("%s%+v,continued=%v", name, s, continued), func(t *testing.T) {
					c := mlstmCase(MLSTMConfig{Batch: s.b, NumHeads: s.nh, Form: form, Chunk: 4}, s, continued)
					all := make(map[string][][]float64)
					for pi, i := range patterns {
						for pf, f := range patterns {
							values := c.values(1)
							setGate(values[3], s.b, s.t, i)
							setGate(values[4], s.b, s.t, f)
							all["i~ "+pi+", f~ "+pf] = values
						}
					}
					wantFinite(t, c, all)
				})
			}
		}
	}
}

// mlstmCase is an mLSTM cell with all its results.
func mlstmCase(cfg MLSTMConfig, s size, continued bool) graphCase {
	rows, d := s.b*s.t, s.nh*s.dh
	c := graphCase{inputs: []input{in("q", rows, d), in("k", rows, d), in("v", rows, d), in("i", rows, s.nh), in("f", rows, s.nh)}}
	if continued {
		c.inputs = append(c.inputs, in("C", s.b, s.nh, s.dh, s.dh), in("n", s.b, s.nh, s.dh), in("m", s.b, s.nh))
	}
	c.build = func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		var st *MLSTMState
		if continued {
			st = &MLSTMState{x[5], x[6], x[7]}
		}
		return mlstmOut(MLSTM(cfg, x[0], x[1], x[2], x[3], x[4], st))
	}
	return c
}

// slstmCase is an sLSTM cell with all its results.
func slstmCase(s size, continued bool) graphCase {
	rows, d := s.b*s.t, s.nh*s.dh
	c := graphCase{inputs: []input{in("i", rows, d), in("f", rows, d), in("z", rows, d), in("o", rows, d), in("r", s.nh, 4*s.dh, s.dh).times(0.5), in("bias", 4*d)}}
	if continued {
		c.inputs = append(c.inputs, in("state", 4, s.b, d).times(0.1).plus(1))
	}
	c.build = func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		var st *gorgonia.Node
		if continued {
			st = x[6]
		}
		return two(SLSTM(SLSTMConfig{Batch: s.b, NumHeads: s.nh}, x[0], x[1], x[2], x[3], x[4], x[5], st))
	}
	return c
}

func TestLSTMIsFiniteAtExtremeGates(t *testing.T) {
	c := lstmCase(2, 6, 3, true)
	all := make(map[string][][]float64)
	for name, x := range patterns {
		values := c.values(1)
		setGate(values[0], 2, 6, x)
		all[name] = values
	}
	wantFinite(t, c, all)
}

func TestSLSTMIsFiniteAtExtremeGates(t *testing.T) {
	for _, s := range sizes {
		for _, continued := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+v,continued=%v", s, continued), func(t *testing.T) {
				c := slstmCase(s, continued)
				all := make(map[string][][]float64)
				for pi, i := range patterns {
					for pf, f := range patterns {
						values := c.values(1)
						setGate(values[0], s.b, s.t, i)
						setGate(values[1], s.b, s.t, f)
						all["i~ "+pi+", f~ "+pf] = values
						values = append([][]float64{}, values...)
						values[2], values[3] = values[1], values[0]
						all["i~ and o~ "+pi+", f~ and z~ "+pf] = values
					}
				}
				wantFinite(t, c, all)
			})
		}
	}
}

// A stabiliser that was carried over from an extreme step must not overflow in
// the next.
func TestCellsAreFiniteAfterAnExtremeStabiliser(t *testing.T) {
	s := size{1, 3, 2, 2}
	for _, m := range []float64{-extreme, extreme} {
		for _, form := range []Form{Chunkwise, Recurrent} {
			c := mlstmCase(MLSTMConfig{Batch: s.b, NumHeads: s.nh, Form: form}, s, true)
			values := c.values(2)
			setGate(values[7], 1, 1, func(int) float64 { return m })
			wantFinite(t, c, map[string][][]float64{fmt.Sprint("m = ", m): values})
		}
		c := slstmCase(s, true)
		values := c.values(2)
		state := values[6]
		setGate(state[len(state)*3/4:], 1, 1, func(int) float64 { return m })
		wantFinite(t, c, map[string][][]float64{fmt.Sprint("m = ", m): values})
	}
}
