package nodes

import (
	"runtime"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// largeCases are operations on shapes that are split over the cores.
func largeCases() map[string]graphCase {
	cell := size{4, 200, 4, 16}
	scan := size{20, 12, 3, 13}
	return map[string]graphCase{
		"MLSTM chunkwise": mlstmCase(MLSTMConfig{Batch: cell.b, NumHeads: cell.nh}, cell, true),
		"MLSTM parallel":  mlstmCase(MLSTMConfig{Batch: cell.b, NumHeads: cell.nh, Form: Parallel}, cell, false),
		"MLSTM recurrent": mlstmCase(MLSTMConfig{Batch: cell.b, NumHeads: cell.nh, Form: Recurrent}, size{4, 30, 4, 16}, true),
		"SLSTM":           slstmCase(scan, true),
		"LSTM":            lstmCase(9, 12, 160, true),
		"Simplified":      simplifiedCase(19, 12, 64, true),
		"Norm": {[]input{in("x", 2000, 64), in("w", 64)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Norm(NormConfig{Groups: 4, Eps: 1e-5}, x[0], x[1]))
		}},
		"Linear": {[]input{in("x", 1500, 96), in("w", 80, 96), in("b", 80)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(Linear(x[0], x[1], x[2]))
		}},
		"MLSTMGates": {gatesInputs(2000, 48, 32, 4), func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return two(MLSTMGates(x[0], x[1], x[2], x[3], x[4], x[5], x[6]))
		}},
		"Fork": {[]input{in("x", 2000, 64), in("w", 16, 64), in("v", 64)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return forked(x[0], x[1], x[2])
		}},
		"HeadwiseLinear narrow": {[]input{in("x", 2000, 64), in("w", 16, 4, 4), in("b", 64)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(HeadwiseLinear(x[0], x[1], x[2]))
		}},
		"HeadwiseLinear wide": {[]input{in("x", 500, 64), in("w", 4, 16, 16), in("b", 64)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(HeadwiseLinear(x[0], x[1], x[2]))
		}},
		"CausalConvSiLU": {[]input{in("x", 1600, 32), in("w", 32, 1, 4), in("b", 32), in("window", 8, 4, 32)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return two(CausalConvSiLU(8, x[0], x[1], x[2], x[3]))
		}},
		"CrossEntropy": {[]input{in("logits", 20000, 11)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			targets := make([]int, 20000)
			for k := range targets {
				targets[k] = k*k%12 - 1
			}
			return one(CrossEntropy(x[0], ids(x[0].Graph(), "targets", targets...)))
		}},
		"Embedding": {[]input{in("w", 50, 64)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			tokens := make([]int, 3000)
			for k := range tokens {
				tokens[k] = k * k % 50
			}
			return one(Embedding(ids(x[0].Graph(), "ids", tokens...), x[0]))
		}},
		"SkipGate": {[]input{in("h", 1200, 64), in("c", 1200, 64), in("skip", 64), in("z", 1200, 64)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(SkipGate(x[0], x[1], x[2], x[3]))
		}},
		"GatedActivation": {[]input{in("g", 1000, 64), in("u", 1000, 64)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
			return one(GatedActivation("gelu", x[0], x[1]))
		}},
	}
}

// bits returns every result and gradient of a run.
func (m *compiled) bits(t *testing.T, values [][]float64) (all []float64) {
	t.Helper()
	all = append(all, m.run(t, values))
	for _, v := range m.results {
		all = append(all, elementsOf(v)...)
	}
	for _, g := range m.gradients() {
		all = append(all, g...)
	}
	return all
}

func TestResultsAreTheSameToTheBitOnAnyNumberOfCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for name, c := range largeCases() {
		t.Run(name, func(t *testing.T) {
			values := c.values(1)
			for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
				m := compile(t, c, dt)
				runtime.GOMAXPROCS(1)
				want := m.bits(t, values)
				for _, procs := range []int{2, 5} {
					runtime.GOMAXPROCS(procs)
					if !slices.Equal(m.bits(t, values), want) {
						t.Errorf("%v: GOMAXPROCS %d changes the results", dt, procs)
					}
				}
			}
		})
	}
}

// Operations keep their buffers: no value of one run may show in the next, nor in
// another graph.
func TestRunsOfOneGraphAreTheSameToTheBit(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			values, others := c.values(1), c.values(2)
			m := compile(t, c, tensor.Float32)
			want := m.bits(t, values)
			if !slices.Equal(m.bits(t, values), want) {
				t.Error("the second run differs from the first")
			}
			m.run(t, others)
			if !slices.Equal(m.bits(t, values), want) {
				t.Error("a run on other values shows in the next")
			}
			if !slices.Equal(compile(t, c, tensor.Float32).bits(t, values), want) {
				t.Error("another graph gives other results")
			}
		})
	}
}
