package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// mlstmCase is a cell with random inputs, and upstream gradients for
// everything it returns.
type mlstmCase struct {
	s             MLSTM
	q, k, v, i, f []float64
	state         MLSTMState[float64]
	dh            []float64
	dLast         MLSTMState[float64]
}

func normals(r *rand.Rand, n int, scale, shift float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()*scale + shift
	}
	return x
}

func newMLSTMCase(seed uint64, s MLSTM, gate float64, withState bool) mlstmCase {
	r := rand.New(rand.NewPCG(seed, 1))
	n := s.B * s.T * s.NH
	c := mlstmCase{
		s: s,
		q: normals(r, n*s.DQK, 1, 0), k: normals(r, n*s.DQK, 1, 0), v: normals(r, n*s.DHV, 1, 0),
		i: normals(r, n, gate, 0), f: normals(r, n, gate, 1),
		dh:    normals(r, n*s.DHV, 1, 0),
		dLast: randomState(r, s),
	}
	if withState {
		c.state = randomState(r, s)
	}
	return c
}

func randomState(r *rand.Rand, s MLSTM) MLSTMState[float64] {
	bh := s.B * s.NH
	return MLSTMState[float64]{normals(r, bh*s.DQK*s.DHV, 1, 0), normals(r, bh*s.DQK, 1, 0), normals(r, bh, 1, 0)}
}

func zeroState[F Float](s MLSTM) MLSTMState[F] {
	bh := s.B * s.NH
	return MLSTMState[F]{make([]F, bh*s.DQK*s.DHV), make([]F, bh*s.DQK), make([]F, bh)}
}

// stateIn returns a state in element type F.
func stateIn[F Float](st MLSTMState[float64]) MLSTMState[F] {
	return MLSTMState[F]{testutil.Convert[F](st.C), testutil.Convert[F](st.N), testutil.Convert[F](st.M)}
}

type mlstmResult[F Float] struct {
	h     []F
	last  MLSTMState[F]
	grads MLSTMGrads[F]
}

func (c mlstmCase) run(recurrent bool) mlstmResult[float64] { return runMLSTM[float64](c, recurrent) }

// runMLSTM runs a cell forward and backward in element type F.
func runMLSTM[F Float](c mlstmCase, recurrent bool) mlstmResult[F] {
	s := c.s
	n := s.B * s.T * s.NH
	r := mlstmResult[F]{h: make([]F, n*s.DHV), last: zeroState[F](s)}
	r.grads = MLSTMGrads[F]{
		Q: make([]F, n*s.DQK), K: make([]F, n*s.DQK), V: make([]F, n*s.DHV),
		I: make([]F, n), F: make([]F, n), State: zeroState[F](s),
	}
	in := testutil.Convert[F, float64]
	q, k, v, i, f, dh := in(c.q), in(c.k), in(c.v), in(c.i), in(c.f), in(c.dh)
	state, dLast := stateIn[F](c.state), stateIn[F](c.dLast)
	if recurrent {
		MLSTMRecurrentForward(s, q, k, v, i, f, state, r.h, r.last)
		MLSTMRecurrentBackward(s, q, k, v, i, f, state, dh, dLast, r.grads)
		return r
	}
	MLSTMForward(s, q, k, v, i, f, state, r.h, r.last)
	MLSTMBackward(s, q, k, v, i, f, state, r.h, dh, dLast, r.grads)
	return r
}

// loss is what the upstream gradients are the gradients of.
func (c mlstmCase) loss(recurrent bool) float64 {
	r := c.run(recurrent)
	return vec.Dot(r.h, c.dh) + vec.Dot(r.last.C, c.dLast.C) + vec.Dot(r.last.N, c.dLast.N) + vec.Dot(r.last.M, c.dLast.M)
}

func (r mlstmResult[F]) all() map[string][]float64 {
	out := testutil.Convert[float64, F]
	return map[string][]float64{
		"h": out(r.h), "C": out(r.last.C), "n": out(r.last.N), "m": out(r.last.M),
		"dq": out(r.grads.Q), "dk": out(r.grads.K), "dv": out(r.grads.V), "di": out(r.grads.I), "df": out(r.grads.F),
		"dC": out(r.grads.State.C), "dn": out(r.grads.State.N), "dm": out(r.grads.State.M),
	}
}

// apart returns the largest difference relative to the largest value.
func apart(got, want []float64) float64 { return golden.Apart(got, want, 0) }

func TestMLSTMFormsAgree(t *testing.T) {
	for _, gate := range []float64{1, 8} {
		for _, withState := range []bool{false, true} {
			s := MLSTM{B: 2, T: 37, NH: 3, DQK: 5, DHV: 7, ScaleQ: 1, ScaleK: 1 / math.Sqrt(5), Eps: 1e-6}
			c := newMLSTMCase(1, s, gate, withState)
			want := c.run(true).all()
			for _, chunk := range []int{1, 4, 13, 37, 64} {
				c.s.Chunk = chunk
				got := c.run(false).all()
				for name := range want {
					if !withState && (name == "dC" || name == "dn" || name == "dm") {
						continue
					}
					if d := apart(got[name], want[name]); d > 1e-9 {
						t.Errorf("gates ×%v, state %v, chunk %d: %s is %.3g away from the recurrent form", gate, withState, chunk, name, d)
					}
				}
			}
		}
	}
}

// Without eps the parallel form, which begins with no stabiliser at all, is the
// same function as the others.
func TestMLSTMParallelFormIsTheSameFunctionWithoutEps(t *testing.T) {
	s := MLSTM{B: 2, T: 21, NH: 2, DQK: 4, DHV: 6, ScaleQ: 0.5, ScaleK: 1}
	c := newMLSTMCase(2, s, 3, false)
	c.dLast = zeroState[float64](s)
	want, got := c.run(true).all(), c.run(false).all()
	for _, name := range []string{"h", "dq", "dk", "dv", "di", "df"} {
		if d := apart(got[name], want[name]); d > 1e-11 {
			t.Errorf("%s is %.3g away", name, d)
		}
	}
}

func TestMLSTMGradientsAreExact(t *testing.T) {
	for _, recurrent := range []bool{true, false} {
		for _, withState := range []bool{false, true} {
			t.Run(fmt.Sprintf("recurrent=%v,state=%v", recurrent, withState), func(t *testing.T) {
				// A large eps makes the stabiliser's own gradient visible.
				s := MLSTM{B: 2, T: 7, NH: 2, DQK: 3, DHV: 2, Chunk: 3, ScaleQ: 0.7, ScaleK: 1.3, Eps: 0.1}
				c := newMLSTMCase(3, s, 2, withState)
				got := c.run(recurrent)
				check := func(name string, x, grad []float64) {
					wantGradient(t, name, func() float64 { return c.loss(recurrent) }, x, grad)
				}
				check("dq", c.q, got.grads.Q)
				check("dk", c.k, got.grads.K)
				check("dv", c.v, got.grads.V)
				check("di", c.i, got.grads.I)
				check("df", c.f, got.grads.F)
				if withState {
					check("dC", c.state.C, got.grads.State.C)
					check("dn", c.state.N, got.grads.State.N)
					check("dm", c.state.M, got.grads.State.M)
				}
			})
		}
	}
}

// wantGradient reports a gradient of loss with respect to x that differs from central
// differences.
func wantGradient(t *testing.T, name string, loss func() float64, x, grad []float64) {
	t.Helper()
	num := make([]float64, len(x))
	for i := range x {
		num[i] = central(loss, &x[i])
	}
	if d := apart(grad, num); d > 1e-7 {
		t.Errorf("%s is %.3g away from central differences", name, d)
	}
}

// central returns a fourth-order central difference of f at *x.
func central(f func() float64, x *float64) float64 {
	const h = 1e-4
	at := func(d float64) float64 {
		keep := *x
		defer func() { *x = keep }()
		*x = keep + d
		return f()
	}
	return (8*(at(h)-at(-h)) - (at(2*h) - at(-2*h))) / (12 * h)
}

func TestMLSTMSplitWithCarriedStateEqualsWhole(t *testing.T) {
	whole := newMLSTMCase(4, MLSTM{B: 1, T: 23, NH: 2, DQK: 3, DHV: 4, Chunk: 5, ScaleQ: 1, ScaleK: 1, Eps: 1e-6}, 3, true)
	want := whole.run(false)
	for _, cut := range []int{1, 5, 12, 22} {
		part := func(lo, hi int) mlstmCase {
			c := whole
			c.s.T = hi - lo
			w := func(x []float64) []float64 { n := len(x) / 23; return x[lo*n : hi*n] }
			c.q, c.k, c.v, c.i, c.f, c.dh = w(c.q), w(c.k), w(c.v), w(c.i), w(c.f), w(c.dh)
			return c
		}
		a, b := part(0, cut), part(cut, 23)
		b.state = a.run(false).last
		rb := b.run(false)
		a.dLast = rb.grads.State
		ra := a.run(false)
		join := func(x, y []float64) []float64 { return append(append([]float64{}, x...), y...) }
		for name, d := range map[string]float64{
			"h": apart(join(ra.h, rb.h), want.h), "C": apart(rb.last.C, want.last.C), "m": apart(rb.last.M, want.last.M),
			"dq": apart(join(ra.grads.Q, rb.grads.Q), want.grads.Q), "dk": apart(join(ra.grads.K, rb.grads.K), want.grads.K),
			"dv": apart(join(ra.grads.V, rb.grads.V), want.grads.V), "di": apart(join(ra.grads.I, rb.grads.I), want.grads.I),
			"df": apart(join(ra.grads.F, rb.grads.F), want.grads.F), "dC": apart(ra.grads.State.C, want.grads.State.C),
			"dm": apart(ra.grads.State.M, want.grads.State.M),
		} {
			if d > 1e-9 {
				t.Errorf("cut at %d: %s is %.3g away", cut, name, d)
			}
		}
	}
}

// A short sequence is one chunk, if that takes less work than the memories between
// several, which it has to pass on if it continues another one.
func TestBestChunk(t *testing.T) {
	for _, c := range []struct {
		steps, width int
		continues    bool
		want         int
	}{
		{256, 192, false, 256}, {256, 64, false, 64}, {256, 192, true, 64}, {1024, 128, false, 64}, {100, 192, false, 128}, {64, 192, false, 64}, {1, 8, true, 64},
	} {
		s := MLSTM{B: 1, T: c.steps, NH: 1, DQK: c.width, DHV: c.width}
		if got := s.BestChunk(c.continues); got != c.want {
			t.Errorf("%d steps of width %d, continues %t: chunks of %d, want %d", c.steps, c.width, c.continues, got, c.want)
		}
	}
}
