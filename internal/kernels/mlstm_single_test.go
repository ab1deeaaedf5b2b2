package kernels

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// narrowed returns x in element type F.
func narrowed[F Float](x []float64) []F {
	y := make([]F, len(x))
	for i, v := range x {
		y[i] = F(v)
	}
	return y
}

func narrowedState[F Float](st MLSTMState[float64]) MLSTMState[F] {
	if st.C == nil {
		return MLSTMState[F]{}
	}
	return MLSTMState[F]{narrowed[F](st.C), narrowed[F](st.N), narrowed[F](st.M)}
}

func widened[F Float](xs ...[]F) (y []float64) {
	for _, x := range xs {
		for _, v := range x {
			y = append(y, float64(v))
		}
	}
	return y
}

// oneStep runs one step in element type F and returns h and the new state, which
// lies in the memory of the old one if asked to.
func oneStep[F Float](c mlstmCase, inPlace bool, run func(s MLSTM, q, k, v, i, f []F, state MLSTMState[F], h []F, last MLSTMState[F])) []float64 {
	state, last := narrowedState[F](c.state), narrowedState[F](zeroState(c.s))
	if inPlace {
		last = state
	}
	h := make([]F, c.s.B*c.s.NH*c.s.DHV)
	run(c.s, narrowed[F](c.q), narrowed[F](c.k), narrowed[F](c.v), narrowed[F](c.i), narrowed[F](c.f), state, h, last)
	return widened(h, last.C, last.N, last.M)
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
