package kernels

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// TestSegmentsGiveTheSameBits: sequences that many cores compute in segments have
// the results of one core, with and without states and their gradients.
func TestSegmentsGiveTheSameBits(t *testing.T) {
	t.Run("float32", testSegments[float32])
	t.Run("float64", testSegments[float64])
}

func testSegments[F Float](t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, steps := range []int{64, 66, 165} {
		for mask := range 8 {
			s := MLSTM{B: 1, T: steps, NH: 2, DQK: 20, DHV: 70, Chunk: 16, ScaleQ: 1, ScaleK: 0.3, Eps: 1e-6}
			c := newSegmentsCase[F](s, mask)
			runtime.GOMAXPROCS(1)
			if s.segments() != 1 {
				t.Fatal("one core cuts sequences into segments")
			}
			want := c.run()
			for _, procs := range []int{4, 7, 16} {
				runtime.GOMAXPROCS(procs)
				if s.segments() < 2 {
					t.Fatalf("%d cores do not cut %d steps into segments", procs, steps)
				}
				for k, got := range c.run() {
					if !slices.Equal(got, want[k]) {
						t.Errorf("%d steps, case %d, %d cores: result %d differs", steps, mask, procs, k)
					}
				}
			}
		}
	}
}

// segmentsCase is the inputs of an mLSTM; those that are absent are nil.
type segmentsCase[F Float] struct {
	MLSTM
	q, k, v, i, f, dh []F
	state, dLast      MLSTMState[F]
}

// newSegmentsCase has a state if bit 0 of mask is set, a gradient of the last state
// for bit 1, and none of the outputs for bit 2.
func newSegmentsCase[F Float](s MLSTM, mask int) *segmentsCase[F] {
	r := rand.New(rand.NewPCG(uint64(s.T), 1))
	draw := func(n int, shift float64) []F {
		x := make([]F, n)
		for i := range x {
			x[i] = F(r.NormFloat64() + shift)
		}
		return x
	}
	state := func() MLSTMState[F] {
		return MLSTMState[F]{draw(s.B*s.NH*s.size(), 0), draw(s.B*s.NH*s.DQK, 0), draw(s.B*s.NH, 0)}
	}
	rows := s.B * s.T * s.NH
	c := &segmentsCase[F]{MLSTM: s, q: draw(rows*s.DQK, 0), k: draw(rows*s.DQK, 0), v: draw(rows*s.DHV, 0), i: draw(rows, 0), f: draw(rows, 2)}
	if mask&1 != 0 {
		c.state = state()
	}
	if mask&2 != 0 {
		c.dLast = state()
	}
	if mask&4 == 0 {
		c.dh = draw(rows*s.DHV, 0)
	}
	return c
}

// run returns the outputs, the final state and all gradients.
func (c *segmentsCase[F]) run() [][]F {
	procs := runtime.GOMAXPROCS(0)
	return c.runTaped(nil, [2]int{procs, procs})
}

// runTaped is run with a tape, unless it is nil, forward and backward on so many cores.
func (c *segmentsCase[F]) runTaped(tape []F, procs [2]int) [][]F {
	h, last := make([]F, len(c.v)), c.emptyState()
	runtime.GOMAXPROCS(procs[0])
	MLSTMTapedForward(c.MLSTM, c.q, c.k, c.v, c.i, c.f, c.state, h, last, tape)
	runtime.GOMAXPROCS(procs[1])
	g := c.backTaped(h, tape)
	return [][]F{h, last.C, last.N, last.M, g.Q, g.K, g.V, g.I, g.F, g.State.C, g.State.N, g.State.M}
}

// backTaped returns the gradients.
func (c *segmentsCase[F]) backTaped(h, tape []F) MLSTMGrads[F] {
	g := MLSTMGrads[F]{Q: make([]F, len(c.q)), K: make([]F, len(c.k)), V: make([]F, len(c.v)), I: make([]F, len(c.i)), F: make([]F, len(c.f))}
	if c.state.C != nil {
		g.State = c.emptyState()
	}
	MLSTMTapedBackward(c.MLSTM, c.q, c.k, c.v, c.i, c.f, c.state, h, tape, c.dh, c.dLast, g)
	return g
}

func (c *segmentsCase[F]) emptyState() MLSTMState[F] {
	return MLSTMState[F]{make([]F, c.B*c.NH*c.size()), make([]F, c.B*c.NH*c.DQK), make([]F, c.B*c.NH)}
}
