package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

type simplifiedCase struct {
	s           Simplified
	x           []float64
	w           SimplifiedWeights[float64]
	state       []float64
	dh, dNew    []float64
	h, newState []float64
}

func newSimplifiedCase(seed uint64, s Simplified, withState bool) *simplifiedCase {
	r := rand.New(rand.NewPCG(seed, 4))
	n := s.B * s.T * s.H
	c := &simplifiedCase{
		s: s, x: normals(r, 4*n, 1, 0), dh: normals(r, n, 1, 0), dNew: normals(r, 2*s.B*s.H, 1, 0),
		w: SimplifiedWeights[float64]{R: normals(r, 4*s.H*s.H, 0.6, 0), Norms: normals(r, 4*s.H, 0.5, 0.5), M: normals(r, s.H*s.H, 0.6, 0)},
		h: make([]float64, n), newState: make([]float64, 2*s.B*s.H),
	}
	if withState {
		c.state = normals(r, 2*s.B*s.H, 1, 0)
	}
	return c
}

func (c *simplifiedCase) run() SimplifiedGrads[float64] {
	tape := SimplifiedTapeOf(c.s, make([]float64, 8*c.s.B*c.s.T*c.s.H))
	SimplifiedForward(c.s, c.x, c.w, c.state, c.h, c.newState, tape)
	made := func(x []float64) []float64 { return make([]float64, len(x)) }
	grads := SimplifiedGrads[float64]{X: made(c.x), W: SimplifiedWeights[float64]{R: made(c.w.R), Norms: made(c.w.Norms), M: made(c.w.M)}}
	if c.state != nil {
		grads.State = made(c.state)
	}
	SimplifiedBackward(c.s, c.w, c.state, c.h, tape, c.dh, c.dNew, grads)
	return grads
}

func (c *simplifiedCase) loss() float64 {
	c.run()
	return vec.Dot(c.h, c.dh) + vec.Dot(c.newState, c.dNew)
}

func TestSimplifiedGradientsAreExact(t *testing.T) {
	for _, steps := range []int{1, 6} {
		for _, withState := range []bool{false, true} {
			s := Simplified{B: 2, T: steps, H: 4, Eps: 1e-3, Resets: make(Resets, 2*steps)}
			s.Resets[steps/2] = 1
			c := newSimplifiedCase(5, s, withState)
			got := c.run()
			check := func(name string, x, grad []float64) {
				wantGradient(t, fmt.Sprintf("%d steps, state %v: %s", steps, withState, name), c.loss, x, grad)
			}
			check("dx", c.x, got.X)
			check("dR", c.w.R, got.W.R)
			check("dnorms", c.w.Norms, got.W.Norms)
			check("dM", c.w.M, got.W.M)
			if withState {
				check("dstate", c.state, got.State)
			}
		}
	}
}

// TestSimplifiedMemoryIsEmptyUntilItIsLearned: with M at zero, its initial value,
// nothing is ever written, and only M has a gradient.
func TestSimplifiedMemoryIsEmptyUntilItIsLearned(t *testing.T) {
	c := newSimplifiedCase(6, Simplified{B: 3, T: 5, H: 4, Eps: 1e-5}, false)
	clear(c.w.M)
	clear(c.dNew)
	got := c.run()
	if slices.ContainsFunc(c.h, func(x float64) bool { return x != 0 }) {
		t.Errorf("h is %v", c.h)
	}
	zero := func(x []float64) bool { return !slices.ContainsFunc(x, func(x float64) bool { return x != 0 }) }
	if !zero(got.X) || !zero(got.W.R) || !zero(got.W.Norms) || zero(got.W.M) {
		t.Error("something but M has a gradient, or M has none")
	}
}
