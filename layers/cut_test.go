package layers

import (
	"fmt"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

const cutSteps = 7

// cutCases calls f for layers and blocks, from the start and from a state. The
// mLSTM's chunks of three do not divide the sequence nor most of its pieces.
func cutCases(t *testing.T, f func(t *testing.T, tr trial, u unit)) {
	for _, u := range units() {
		for _, continued := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,continued=%v", u.name, continued), func(t *testing.T) {
				tr := trial{mk: u.fused(), batch: 2, x: u.sequence(2, cutSteps), stateInLoss: true}
				tr.store = newStore(t, tr.mk)
				if continued {
					tr.begin = randomState(t, tr.mk, tr.store, 2, u.dim)
				}
				f(t, tr, u)
			})
		}
	}
}

func TestTwoCallsInOneGraphEqualOneWithAllGradients(t *testing.T) {
	cutCases(t, func(t *testing.T, tr trial, _ unit) {
		want := tr.run(t)
		for cut := 1; cut < cutSteps; cut++ {
			tr.cuts = []int{cut}
			same(t, tr.run(t), want)
		}
	})
}

func TestOneCallForEachStepEqualsOneForAll(t *testing.T) {
	cutCases(t, func(t *testing.T, tr trial, _ unit) {
		want := tr.run(t)
		tr.cuts = []int{1, 2, 3, 4, 5, 6}
		same(t, tr.run(t), want)
	})
}

// Both calls begin at the start, so the symbolic cell needs its zeros twice.
func TestLayerMayRunOverTwoSequencesInOneGraph(t *testing.T) {
	for _, u := range units() {
		for _, mk := range []maker{u.fused(), u.symbolic()} {
			t.Run(u.name, func(t *testing.T) {
				store := newStore(t, mk)
				xs := []*tensor.Dense{random("first", 4, u.dim), random("second", 4, u.dim)}
				g := gorgonia.NewGraph()
				s := NewScope(g, store, 1)
				layer, err := mk(s)
				if err != nil {
					t.Fatal(err)
				}
				bound, out := map[*gorgonia.Node]*tensor.Dense{}, map[string]*gorgonia.Node{}
				tr := trial{mk: mk, store: store, batch: 1}
				loss := gorgonia.NewConstant(0.0)
				for k, v := range xs {
					name := fmt.Sprint("y", k)
					x := s.input(fmt.Sprint("x", k), v.Shape()...)
					bound[x] = v
					out[name], _ = tr.fwd(t, layer, x, nil)
					loss = gorgonia.Must(gorgonia.Add(loss, tr.term(g, bound, name, out[name])))
				}
				got := execute(t, g, bound, out, loss, map[string]*gorgonia.Node{"d": s.Learnables()[0]})
				for k, v := range xs {
					tr.x = v
					if d := apart(got[fmt.Sprint("y", k)], tr.run(t)["y"]); d > 1e-12 {
						t.Errorf("sequence %d is %.3g away from a run of its own", k, d)
					}
				}
			})
		}
	}
}

func TestStateCarriedBetweenGraphsContinuesTheSequence(t *testing.T) {
	cutCases(t, func(t *testing.T, tr trial, u unit) {
		want := tr.run(t)
		for cut := 1; cut < cutSteps; cut++ {
			first, second := tr, tr
			first.x, second.x = steps(tr.x, 2, 0, cut), steps(tr.x, 2, cut, cutSteps)
			a := first.run(t)
			second.begin = stateOf(a, randomState(t, tr.mk, tr.store, 2, u.dim))
			b := second.run(t)
			y := joinSteps(a["y"], b["y"], 2)
			if d := apart(y, want["y"]); d > 1e-9 {
				t.Errorf("cut at %d: y is %.3g away", cut, d)
			}
			for _, name := range []string{"new conv", "new C", "new n", "new m", "new slstm", "new lstm", "new simplified"} {
				if d := apart(b[name], want[name]); d > 1e-9 {
					t.Errorf("cut at %d: %s is %.3g away", cut, name, d)
				}
			}
		}
	})
}

func dense(v []float64, shape ...int) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v))
}

// steps returns steps lo…hi−1 of every sequence of x (B·T, D).
func steps(x *tensor.Dense, batch, lo, hi int) *tensor.Dense {
	var v []float64
	data, per := x.Data().([]float64), x.Size()/batch
	width := x.Shape()[1]
	for b := range batch {
		v = append(v, data[b*per+lo*width:b*per+hi*width]...)
	}
	return dense(v, batch*(hi-lo), width)
}

// joinSteps is the inverse of steps for two pieces.
func joinSteps(a, c []float64, batch int) (v []float64) {
	na, nc := len(a)/batch, len(c)/batch
	for b := range batch {
		v = append(append(v, a[b*na:(b+1)*na]...), c[b*nc:(b+1)*nc]...)
	}
	return v
}

// stateOf returns the state at the end of a run in the shapes of like.
func stateOf(run map[string][]float64, like values) values {
	st := values{}
	for name, v := range like {
		st[name] = dense(run["new "+name], v.Shape()...)
	}
	return st
}
