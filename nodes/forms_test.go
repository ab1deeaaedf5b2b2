package nodes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// allForms are the forms of the mLSTM, the chunkwise one with several lengths.
var allForms = map[string]MLSTMConfig{
	"chunks of 1": {Chunk: 1}, "chunks of 5": {Chunk: 5}, "chunks of 64": {Chunk: 64}, "parallel": {Form: Parallel}, "recurrent": {Form: Recurrent},
}

// extremeGates draws gates over time: all mixes both gates' extremes with
// ordinary values, the others close the forget gate now and then, as a mask does:
// rarely, for every time costs sums over the chunk some of the last digits.
func extremeGates() map[string]func(r *rand.Rand) (i, f float64) {
	mixed := func(r *rand.Rand) float64 {
		return []float64{extreme, -extreme, float64(float32(2 * r.NormFloat64()))}[r.IntN(3)]
	}
	gates := map[string]func(r *rand.Rand) (i, f float64){
		"all": func(r *rand.Rand) (i, f float64) { return mixed(r), mixed(r) },
	}
	for _, closed := range []float64{-1e9, -1e20, -math.MaxFloat32, math.Inf(-1)} {
		gates[fmt.Sprint("f~ ", closed)] = func(r *rand.Rand) (i, f float64) {
			i, f = float64(float32(2*r.NormFloat64())), float64(float32(2*r.NormFloat64()))
			if r.IntN(40) == 0 {
				f = closed
			}
			return i, f
		}
	}
	return gates
}

// formCase is an mLSTM cell from an empty memory, without its final state, which
// the parallel form scales otherwise.
func formCase(cfg MLSTMConfig, s size) graphCase {
	cfg.Batch, cfg.NumHeads, cfg.Eps = s.b, s.nh, tinyEps
	c := mlstmCase(cfg, s, false)
	c.build = func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		h, _, err := MLSTM(cfg, x[0], x[1], x[2], x[3], x[4], nil)
		return one(h, err)
	}
	return c
}

func TestMLSTMFormsAgreeAtExtremeGates(t *testing.T) {
	s := size{2, 40, 2, 3}
	for gates, draw := range extremeGates() {
		all := make(map[string][][]float64)
		for seed := range uint64(5) {
			values, r := formCase(MLSTMConfig{}, s).values(seed), rand.New(rand.NewPCG(seed, 5))
			for k := range values[3] {
				values[3][k], values[4][k] = draw(r)
			}
			all[fmt.Sprintf("%s, seed %d", gates, seed)] = values
		}
		recurrent := compile(t, formCase(MLSTMConfig{Form: Recurrent}, s), tensor.Float64)
		for form, cfg := range allForms {
			c := formCase(cfg, s)
			wantFinite(t, c, all)
			m := compile(t, c, tensor.Float64)
			for name, values := range all {
				recurrent.run(t, values)
				m.run(t, values)
				what := fmt.Sprintf("%s, %s: ", form, name)
				wantClose(t, what+"h", elementsOf(m.results[0]), elementsOf(recurrent.results[0]), 1e-9)
				want := recurrent.gradients()
				for k, g := range m.gradients() {
					wantClose(t, what+"the gradient of "+c.inputs[k].name, g, want[k], 1e-9)
				}
			}
		}
	}
}
