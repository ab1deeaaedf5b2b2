package layers

import (
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// stackOf returns a small stack of every kind of block.
func stackOf() StackConfig {
	norm := DefaultNormConfig(6)
	return StackConfig{
		Blocks: []BlockConfig{
			MLSTMBlockConfig{MLSTMConfig{EmbeddingDim: 6, InnerDim: 8, NumHeads: 2, ConvKernel: 3, QKVBlock: 4}},
			SLSTMBlockConfig{SLSTMConfig{EmbeddingDim: 6, NumHeads: 2, ConvKernel: 2, NormWeight: true}, &FeedForwardConfig{EmbeddingDim: 6, UpDim: 5, Activation: "gelu"}},
			LargeConfig{EmbeddingDim: 6, NumHeads: 2, QKDim: 4, VDim: 6, UpDim: 5, GateSoftCap: 15, NormEps: 1e-6},
		},
		PostNorm: &norm, PostNormName: "post_blocks_norm",
	}
}

// stackRun is a stack in a graph for sequences of steps.
type stackRun struct {
	x, y       *gorgonia.Node
	begin, end StackState
	vm         gorgonia.VM
}

func newStackRun(t *testing.T, store *Store, batch, steps int) *stackRun {
	t.Helper()
	s := NewScope(gorgonia.NewGraph(), store, batch)
	st, err := NewStack(s.Sub("stack"), stackOf())
	if err != nil {
		t.Fatal(err)
	}
	r := &stackRun{x: s.input("x", batch*steps, 6)}
	if r.begin, err = st.NewState(s.Sub("begin")); err != nil {
		t.Fatal(err)
	}
	if err := r.begin.Reset(); err != nil {
		t.Fatal(err)
	}
	if r.y, r.end, err = st.Fwd(r.x, r.begin); err != nil {
		t.Fatal(err)
	}
	r.vm = gorgonia.NewTapeMachine(s.Graph())
	t.Cleanup(func() { r.vm.Close() })
	return r
}

func (r *stackRun) run(t *testing.T, x []float64) []float64 {
	t.Helper()
	if err := gorgonia.Let(r.x, tensor.New(tensor.WithShape(r.x.Shape()...), tensor.WithBacking(x))); err != nil {
		t.Fatal(err)
	}
	r.vm.Reset()
	if err := r.vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	return numbersIn(r.y.Value())
}

// TestStackContinuesFromItsState: a sequence that is run in two halves, the second
// from the state after the first, gives what the whole gives, and after Reset the
// first half gives the same again.
func TestStackContinuesFromItsState(t *testing.T) {
	store, err := NewStore(tensor.Float64, 1)
	if err != nil {
		t.Fatal(err)
	}
	x := numbersIn(random("x", 8, 6))
	whole := newStackRun(t, store, 1, 8).run(t, slices.Clone(x))
	half := newStackRun(t, store, 1, 4)
	first := half.run(t, slices.Clone(x[:24]))
	if err := half.begin.Set(half.end); err != nil {
		t.Fatal(err)
	}
	second := half.run(t, slices.Clone(x[24:]))
	if d := apart(slices.Concat(first, second), whole); d > 1e-12 {
		t.Errorf("two halves are %.3g away from the whole", d)
	}
	if err := half.begin.Reset(); err != nil {
		t.Fatal(err)
	}
	if again := half.run(t, slices.Clone(x[:24])); !slices.Equal(again, first) {
		t.Error("the state is not empty after Reset")
	}
}

func TestStackReportsStatesThatDoNotFit(t *testing.T) {
	store, err := NewStore(tensor.Float64, 1)
	if err != nil {
		t.Fatal(err)
	}
	a, b := newStackRun(t, store, 1, 2), newStackRun(t, store, 2, 2)
	testutil.WantError(t, a.begin.Set(a.end), "no value")
	b.run(t, numbersIn(random("x", 4, 6)))
	testutil.WantError(t, a.begin.Set(b.end), "block 0", "does not fit")
	testutil.WantError(t, a.begin.Set(b.end[:2]), "2", "3")
	testutil.WantError(t, a.begin[0].Set(b.end[1]), "does not fit")
	s := NewScope(gorgonia.NewGraph(), store, 1)
	st, err := NewStack(s, stackOf())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = st.Fwd(s.input("x", 2, 6), StackState{nil})
	testutil.WantError(t, err, "1 blocks", "3")
	_, err = DefaultStackConfig(8, 2, 2)
	testutil.WantError(t, err, "index 2", "2 blocks")
}

// TestStatePartsAreTheShapesOfTheNewState: what a layer says of its state holds for
// the state that it returns.
func TestStatePartsAreTheShapesOfTheNewState(t *testing.T) {
	for _, u := range units() {
		t.Run(u.name, func(t *testing.T) {
			for _, batch := range []int{1, 3} {
				s := NewScope(gorgonia.NewGraph(), newStore(t, u.fused()), batch)
				l, err := u.fused()(s)
				if err != nil {
					t.Fatal(err)
				}
				begin, err := l.NewState(s.Sub("begin"))
				if err != nil {
					t.Fatal(err)
				}
				_, end, err := l.Fwd(s.input("x", 2*batch, u.dim), begin)
				if err != nil {
					t.Fatal(err)
				}
				from, to := begin.Nodes(), end.Nodes()
				if len(from) != len(to) {
					t.Fatalf("%d parts, the layer returns %d", len(from), len(to))
				}
				for i := range from {
					if !from[i].Shape().Eq(to[i].Shape()) {
						t.Errorf("%s of shape %v, the layer returns %v", from[i].Name(), from[i].Shape(), to[i].Shape())
					}
				}
			}
		})
	}
}
