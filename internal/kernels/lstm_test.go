package kernels

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

type lstmCase[F Float] struct {
	s                 LSTM
	x, r, bias, state []F
	dh, dNew          []F
}

func newLSTMCase(seed uint64, s LSTM, withState bool) *lstmCase[float64] {
	r := rand.New(rand.NewPCG(seed, 3))
	n := s.B * s.T * s.H
	c := &lstmCase[float64]{
		s: s, x: normals(r, 4*n, 1, 0), r: normals(r, 4*s.H*s.H, 0.6, 0), bias: normals(r, 4*s.H, 0.5, 0),
		dh: normals(r, n, 1, 0), dNew: normals(r, 2*s.B*s.H, 1, 0),
	}
	if withState {
		c.state = normals(r, 2*s.B*s.H, 1, 0)
	}
	return c
}

type lstmResult[F Float] struct {
	h, state []F
	grads    LSTMGrads[F]
}

func (c *lstmCase[F]) run() lstmResult[F] {
	s := c.s
	res := lstmResult[F]{h: make([]F, len(c.dh)), state: make([]F, len(c.dNew))}
	tape := LSTMTapeOf(s, make([]F, 5*s.B*s.T*s.H))
	LSTMForward(s, c.x, c.r, c.bias, c.state, res.h, res.state, tape)
	res.grads = LSTMGrads[F]{X: make([]F, len(c.x)), R: make([]F, len(c.r)), Bias: make([]F, len(c.bias))}
	if c.state != nil {
		res.grads.State = make([]F, len(c.state))
	}
	LSTMBackward(s, c.r, c.state, res.h, tape, c.dh, c.dNew, res.grads)
	return res
}

func (c *lstmCase[F]) loss() F {
	r := c.run()
	return vec.Dot(r.h, c.dh) + vec.Dot(r.state, c.dNew)
}

func TestLSTMGradientsAreExact(t *testing.T) {
	for _, steps := range []int{1, 4, 11} { // with the weights as they are, and laid out
		for _, withState := range []bool{false, true} {
			s := LSTM{B: 2, T: steps, H: 3, Resets: make(Resets, 2*steps)}
			s.Resets[steps/2] = 1
			c := newLSTMCase(5, s, withState)
			got := c.run().grads
			check := func(name string, x, grad []float64) {
				wantGradient(t, fmt.Sprintf("%d steps, state %v: %s", steps, withState, name), c.loss, x, grad)
			}
			check("dx", c.x, got.X)
			check("dR", c.r, got.R)
			check("db", c.bias, got.Bias)
			if withState {
				check("dstate", c.state, got.State)
			}
		}
	}
}

// TestLSTMPiecesGiveTheSameBits: the scan is divided by sequences or by units,
// depending on the number of cores.
func TestLSTMPiecesGiveTheSameBits(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, s := range []LSTM{{B: 1, T: 9, H: 300}, {B: 9, T: 9, H: 100}, {B: 16, T: 12, H: 256}, {B: 40, T: 8, H: 384}, {B: 3, T: 3, H: 128}} {
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			s.Resets = make(Resets, s.B*s.T)
			s.Resets[4] = 1
			c64 := newLSTMCase(9, s, true)
			c := &lstmCase[float32]{s, float32s(c64.x), float32s(c64.r), float32s(c64.bias), float32s(c64.state), float32s(c64.dh), float32s(c64.dNew)}
			samePieces(t, c)
			samePieces(t, c64)
		})
	}
}

func float32s(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

func samePieces[F Float](t *testing.T, c *lstmCase[F]) {
	t.Helper()
	runtime.GOMAXPROCS(1)
	want := c.run()
	divided := map[bool]bool{}
	for _, procs := range []int{1, 2, 3, 8, 16} {
		runtime.GOMAXPROCS(procs)
		_, byUnits := c.s.pieces()
		divided[byUnits] = true
		got := c.run()
		for name, pair := range map[string][2][]F{
			"h": {got.h, want.h}, "state": {got.state, want.state}, "dx": {got.grads.X, want.grads.X},
			"dR": {got.grads.R, want.grads.R}, "db": {got.grads.Bias, want.grads.Bias}, "dstate": {got.grads.State, want.grads.State},
		} {
			if !slices.Equal(pair[0], pair[1]) {
				t.Errorf("%d cores: %s is another", procs, name)
			}
		}
	}
	if !divided[true] || !divided[false] && 4*c.s.H*c.s.H <= lstmCached {
		t.Error("the scan was divided in one way only")
	}
}
