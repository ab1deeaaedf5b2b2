package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// lateCase is random steps of a cell.
type lateCase struct {
	s  MLSTM
	in [][5][]float64 // q, k, v, i, f by step
	st MLSTMState[float64]
}

func newLateCase(seed uint64, s MLSTM, steps int) lateCase {
	c := lateCase{s: s}
	r := rand.New(rand.NewPCG(seed, 1))
	numbers := func(n int, scale float64) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = scale * r.NormFloat64()
		}
		return x
	}
	for range steps {
		c.in = append(c.in, [5][]float64{numbers(s.B*s.NH*s.DQK, 1), numbers(s.B*s.NH*s.DQK, 1), numbers(s.B*s.NH*s.DHV, 1), numbers(s.B*s.NH, 4), numbers(s.B*s.NH, 4)})
	}
	c.st = MLSTMState[float64]{C: numbers(s.B*s.NH*s.DQK*s.DHV, 1), N: numbers(s.B*s.NH*s.DQK, 1), M: numbers(s.B*s.NH, 1)}
	return c
}

// runLate returns h of all steps, and the state after them. It catches up after
// the steps for which at says so, with a sequence, −1 for all.
func runLate[F Float](c lateCase, at map[int]int) []float64 {
	in, state := testutil.Convert[F, float64], stateIn[F](c.st)
	l, h := NewMLSTMLate[F](c.s), make([]F, c.s.B*c.s.NH*c.s.DHV)
	var all []float64
	for t, x := range c.in {
		l.Step(in(x[0]), in(x[1]), in(x[2]), in(x[3]), in(x[4]), state, h)
		all = append(all, testutil.Convert[float64](h)...)
		if b, ok := at[t]; ok {
			l.CatchUp(b, state.C)
		}
	}
	l.CatchUp(-1, state.C)
	return append(all, testutil.Convert[float64](slices.Concat(state.C, state.N, state.M))...)
}

// runRecurrent is the same with the recurrent form.
func runRecurrent(c lateCase) (all []float64) {
	state, h := stateIn[float64](c.st), make([]float64, c.s.B*c.s.NH*c.s.DHV)
	for _, x := range c.in {
		MLSTMRecurrentForward(c.s, x[0], x[1], x[2], x[3], x[4], state, h, state)
		all = append(all, h...)
	}
	return append(all, slices.Concat(state.C, state.N, state.M)...)
}

// TestLateMemoriesEqualTheRecurrentForm over more steps than a memory may be
// behind, brought up to date at any of them, together and one by one.
func TestLateMemoriesEqualTheRecurrentForm(t *testing.T) {
	for seed, s := range []MLSTM{
		{B: 2, T: 1, NH: 3, DQK: 4, DHV: 16, Chunk: 64, ScaleQ: 1, ScaleK: 0.5, Eps: 1e-6},
		{B: 3, T: 1, NH: 2, DQK: 7, DHV: 5, Chunk: 64, ScaleQ: 0.4, ScaleK: 1, Eps: 1e-6},
		{B: 1, T: 1, NH: 1, DQK: 1, DHV: 1, Chunk: 64, ScaleQ: 1, ScaleK: 1, Eps: 1e-6},
		{B: 2, T: 1, NH: 2, DQK: 66, DHV: 130, Chunk: 64, ScaleQ: 1, ScaleK: 0.1, Eps: 1e-6},
	} {
		c := newLateCase(uint64(seed), s, 3*lateSteps+5)
		want := runRecurrent(c)
		for _, at := range []map[int]int{nil, {0: -1, 20: -1}, {3: 0, lateSteps - 1: 0, lateSteps: s.B - 1, 40: 0}} {
			t.Run(fmt.Sprintf("%+v %v", s, at), func(t *testing.T) {
				if d := apart(runLate[float64](c, at), want); d > 1e-10 {
					t.Errorf("float64: %.3g away", d)
				}
				if d := apart(runLate[float32](c, at), want); d > 1e-3 {
					t.Errorf("float32: %.3g away", d)
				}
			})
		}
	}
}

// TestLateMemoriesOfASequenceDependOnItAlone: not on the cores, and not on when
// other sequences are brought up to date.
func TestLateMemoriesOfASequenceDependOnItAlone(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	c := newLateCase(1, MLSTM{B: 2, T: 1, NH: 4, DQK: 96, DHV: 192, Chunk: 64, ScaleQ: 1, ScaleK: 0.1, Eps: 1e-6}, 2*lateSteps+3)
	want := runLate[float32](c, nil)
	for _, procs := range []int{2, 5} {
		runtime.GOMAXPROCS(procs)
		if !slices.Equal(runLate[float32](c, nil), want) {
			t.Errorf("GOMAXPROCS %d changes the results", procs)
		}
	}
	other := runLate[float32](c, map[int]int{5: 0, 11: 0}) // sequence 0 alone catches up
	per := c.s.NH * c.s.DHV
	for step := range c.in {
		at := step*2*per + per
		if !slices.Equal(other[at:at+per], want[at:at+per]) {
			t.Fatalf("step %d of sequence 1 depends on when sequence 0 caught up", step)
		}
	}
}

func BenchmarkMLSTMLate(b *testing.B) {
	for _, s := range []MLSTM{
		{B: 48, T: 1, NH: 4, DQK: 64, DHV: 64, Chunk: 64, ScaleQ: 1, ScaleK: 0.1, Eps: 1e-6},
		{B: 1, T: 1, NH: 4, DQK: 192, DHV: 192, Chunk: 64, ScaleQ: 1, ScaleK: 0.1, Eps: 1e-6},
		{B: 16, T: 1, NH: 4, DQK: 512, DHV: 512, Chunk: 64, ScaleQ: 1, ScaleK: 0.1, Eps: 1e-6},
	} {
		c := newLateCase(1, s, 1)
		in, state := testutil.Convert[float32, float64], stateIn[float32](c.st)
		h, x := make([]float32, s.B*s.NH*s.DHV), c.in[0]
		q, k, v, ig, fg := in(x[0]), in(x[1]), in(x[2]), in(x[3]), in(x[4])
		for j := range fg {
			fg[j] = float32(math.Abs(float64(fg[j]))) + 3
		}
		name := fmt.Sprintf("%dx%dx%dx%d", s.B, s.NH, s.DQK, s.DHV)
		b.Run(name+"/late", func(b *testing.B) {
			l := NewMLSTMLate[float32](s)
			for b.Loop() {
				l.Step(q, k, v, ig, fg, state, h)
			}
		})
		b.Run(name+"/at once", func(b *testing.B) {
			for b.Loop() {
				MLSTMForward(s, q, k, v, ig, fg, state, h, state)
			}
		})
	}
}
