package kernels

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// oneStep runs one step in element type F and returns h and the new state, in the
// memory of the old one if inPlace is set.
func oneStep[F Float](c mlstmCase, inPlace bool, run func(s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F])) []float64 {
	in := testutil.Convert[F, float64]
	state, last := stateIn[F](c.state), zeroState[F](c.s)
	if inPlace {
		last = state
	}
	h := make([]F, c.s.B*c.s.NH*c.s.DHV)
	run(c.s, in(c.q), in(c.k), in(c.v), in(c.i), in(c.f), state, h, last)
	return testutil.Convert[float64](slices.Concat(h, last.C, last.N, last.M))
}

// TestSingleStepEqualsRecurrentForm in widths that four and registers do not
// divide, from a state and without, in its place and elsewhere.
func TestSingleStepEqualsRecurrentForm(t *testing.T) {
	for seed, s := range []MLSTM{
		{B: 2, T: 1, NH: 3, DQK: 4, DHV: 16, Chunk: 64, ScaleQ: 1, ScaleK: 0.5, Eps: 1e-6},
		{B: 1, T: 1, NH: 2, DQK: 7, DHV: 5, Chunk: 64, ScaleQ: 0.4, ScaleK: 1, Eps: 1e-6},
		{B: 1, T: 1, NH: 1, DQK: 1, DHV: 1, Chunk: 0, ScaleQ: 1, ScaleK: 1, Eps: 1e-6},
		{B: 3, T: 1, NH: 4, DQK: 66, DHV: 130, Chunk: 1, ScaleQ: 1, ScaleK: 0.1, Eps: 1e-6},
	} {
		for _, withState := range []bool{false, s.Chunk > 0} {
			t.Run(fmt.Sprintf("%+v %v", s, withState), func(t *testing.T) {
				c := newMLSTMCase(uint64(seed), s, 2, withState)
				want := oneStep(c, false, MLSTMRecurrentForward[float64])
				for _, inPlace := range []bool{false, withState} {
					if d := apart(oneStep(c, inPlace, MLSTMForward[float64]), want); d > 1e-12 {
						t.Errorf("float64, in place %v: %.3g away", inPlace, d)
					}
					if d := apart(oneStep(c, inPlace, MLSTMForward[float32]), want); d > 1e-5 {
						t.Errorf("float32, in place %v: %.3g away", inPlace, d)
					}
				}
			})
		}
	}
}

func TestSingleStepIsTheSameToTheBitOnAnyNumberOfCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c := newMLSTMCase(1, MLSTM{B: 1, T: 1, NH: 4, DQK: 192, DHV: 192, Chunk: 64, ScaleQ: 1, ScaleK: 0.1, Eps: 1e-6}, 2, true)
	want := oneStep(c, true, MLSTMForward[float32])
	for _, procs := range []int{2, 5} {
		runtime.GOMAXPROCS(procs)
		if !slices.Equal(oneStep(c, true, MLSTMForward[float32]), want) {
			t.Errorf("GOMAXPROCS %d changes the results", procs)
		}
	}
}
