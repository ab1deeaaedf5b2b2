package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

type slstmCase struct {
	s              SLSTM
	x              [4][]float64
	r, bias, state []float64
	dy, dNew       []float64
}

func newSLSTMCase(seed uint64, s SLSTM, gate float64, withState bool) *slstmCase {
	r := rand.New(rand.NewPCG(seed, 2))
	d, n := s.NH*s.DH, s.B*s.T*s.NH*s.DH
	c := &slstmCase{s: s, r: normals(r, 4*d*s.DH, 0.6, 0), bias: normals(r, 4*d, 0.5, 0), dy: normals(r, n, 1, 0), dNew: normals(r, 4*s.B*d, 1, 0)}
	for k := range c.x {
		c.x[k] = normals(r, n, gate, 0)
	}
	if withState {
		c.state = normals(r, 4*s.B*d, 1, 0)
		_, _, sn, _ := split4(c.state)
		for i := range sn {
			sn[i] = math.Abs(sn[i]) + 0.5
		}
	}
	return c
}

type slstmResult struct {
	y, state []float64
	grads    SLSTMGrads[float64]
}

func (c *slstmCase) run() slstmResult {
	s := c.s
	d, n := s.NH*s.DH, s.B*s.T*s.NH*s.DH
	res := slstmResult{y: make([]float64, n), state: make([]float64, 4*s.B*d)}
	tape := SLSTMTapeOf(s, make([]float64, s.TapeSize()))
	SLSTMForward(s, c.x, c.r, c.bias, c.state, res.y, res.state, tape)
	res.grads = SLSTMGrads[float64]{R: make([]float64, len(c.r)), Bias: make([]float64, 4*d)}
	for k := range res.grads.X {
		res.grads.X[k] = make([]float64, n)
	}
	if c.state != nil {
		res.grads.State = make([]float64, len(c.state))
	}
	SLSTMBackward(s, c.r, c.state, res.y, res.state, tape, c.dy, c.dNew, res.grads)
	return res
}

func (c *slstmCase) loss() float64 {
	r := c.run()
	return vec.Dot(r.y, c.dy) + vec.Dot(r.state, c.dNew)
}

func TestSLSTMGradientsAreExact(t *testing.T) {
	for _, withState := range []bool{false, true} {
		c := newSLSTMCase(5, SLSTM{B: 2, T: 6, NH: 2, DH: 3, Clip: math.Inf(1)}, 2, withState)
		got := c.run().grads
		check := func(name string, x, grad []float64) {
			wantGradient(t, fmt.Sprintf("state %v: %s", withState, name), c.loss, x, grad)
		}
		for k, gate := range []string{"di", "df", "dz", "do"} {
			check(gate, c.x[k], got.X[k])
		}
		check("dR", c.r, got.R)
		check("db", c.bias, got.Bias)
		if withState {
			check("dstate", c.state, got.State)
		}
	}
}

// At a first step the state is empty and y = σ(o~)·tanh(z~) whatever the input
// and forget gates are.
func TestSLSTMFirstStepIgnoresInputAndForgetGates(t *testing.T) {
	c := newSLSTMCase(6, SLSTM{B: 3, T: 1, NH: 2, DH: 4, Clip: math.Inf(1)}, 1e4, false)
	clear(c.bias)
	for i, y := range c.run().y {
		if want := sigmoid(c.x[3][i]) * math.Tanh(c.x[2][i]); math.Abs(y-want) > 1e-15 {
			t.Fatalf("y[%d] = %v, want %v", i, y, want)
		}
	}
}

func TestSLSTMSplitWithCarriedStateEqualsWhole(t *testing.T) {
	const T = 11
	whole := newSLSTMCase(7, SLSTM{B: 1, T: T, NH: 2, DH: 3, Clip: math.Inf(1)}, 2, true)
	want := whole.run()
	for _, cut := range []int{1, 4, 10} {
		part := func(lo, hi int) *slstmCase {
			c := *whole
			c.s.T = hi - lo
			w := func(x []float64) []float64 { n := len(x) / T; return x[lo*n : hi*n] }
			for k := range c.x {
				c.x[k] = w(c.x[k])
			}
			c.dy = w(c.dy)
			return &c
		}
		a, b := part(0, cut), part(cut, T)
		b.state = a.run().state
		rb := b.run()
		a.dNew = rb.grads.State
		ra := a.run()
		sum := func(x, y []float64) []float64 {
			z := append([]float64{}, x...)
			vec.Axpy(z, 1, y)
			return z
		}
		for name, d := range map[string]float64{
			"y":      apart(append(append([]float64{}, ra.y...), rb.y...), want.y),
			"state":  apart(rb.state, want.state),
			"dx_f":   apart(append(append([]float64{}, ra.grads.X[1]...), rb.grads.X[1]...), want.grads.X[1]),
			"dR":     apart(sum(ra.grads.R, rb.grads.R), want.grads.R),
			"dstate": apart(ra.grads.State, want.grads.State),
		} {
			if d > 1e-12 {
				t.Errorf("cut at %d: %s is %.3g away", cut, name, d)
			}
		}
	}
}

// Clip 0 cuts the recurrent gradient: each step then sees only its own output.
func TestSLSTMClipBoundsTheRecurrentGradient(t *testing.T) {
	c := newSLSTMCase(8, SLSTM{B: 1, T: 2, NH: 1, DH: 2, Clip: 0}, 1, true)
	clear(c.dNew)
	got := c.run().grads.State[:2]
	for _, g := range got {
		if g != 0 {
			t.Fatalf("gradient of y before the first step is %v, want it cut", got)
		}
	}
	c.s.Clip = 1e-3
	for _, g := range c.run().grads.State[:2] {
		if math.Abs(g) > 1e-3 {
			t.Fatalf("gradient %v exceeds the bound", g)
		}
	}
}
