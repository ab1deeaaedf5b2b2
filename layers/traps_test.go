package layers

import (
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestTwoModelsOfOneNameInOneGraphAreAnError: Gorgonia would give both the
// weights of the first.
func TestTwoModelsOfOneNameInOneGraphAreAnError(t *testing.T) {
	g := gorgonia.NewGraph()
	make := func(seed uint64, name string) (Scope, error) {
		store, err := NewStore(tensor.Float64, seed)
		if err != nil {
			t.Fatal(err)
		}
		s := NewScope(g, store, 1)
		_, err = NewLinear(s.Sub(name), 3, 2, true, Small(3))
		return s, err
	}
	first, err := make(1, "teacher")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := make(2, "teacher"); err == nil || !strings.Contains(err.Error(), "teacher.weight") {
		t.Errorf("a second store's parameters became the first's: %v", err)
	}
	if _, err := make(2, "student"); err != nil {
		t.Errorf("another name: %v", err)
	}
	// The same parameters may be in a graph twice.
	if _, err := NewLinear(NewScope(g, first.store, 1).Sub("teacher"), 3, 2, true, Small(3)); err != nil {
		t.Errorf("the same model again: %v", err)
	}
}

func TestInputOfATakenNameIsAnError(t *testing.T) {
	store, err := NewStore(tensor.Float64, 1)
	if err != nil {
		t.Fatal(err)
	}
	s := NewScope(gorgonia.NewGraph(), store, 1)
	if _, err := s.Input("x", 2, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Param("w", Small(3), 2, 3); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "w"} {
		if _, err := s.Input(name, 2, 3); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("a second input %s: %v", name, err)
		}
	}
}

// TestStateOfAnotherLayerIsRefused, and so is half a state.
func TestStateOfAnotherLayerIsRefused(t *testing.T) {
	store, err := NewStore(tensor.Float64, 1)
	if err != nil {
		t.Fatal(err)
	}
	s := NewScope(gorgonia.NewGraph(), store, 1)
	m, err := NewMLSTM(s.Sub("m"), MLSTMConfig{EmbeddingDim: 4, InnerDim: 4, NumHeads: 1, ConvKernel: 2, QKVBlock: 4})
	if err != nil {
		t.Fatal(err)
	}
	sl, err := NewSLSTM(s.Sub("s"), SLSTMConfig{EmbeddingDim: 4, NumHeads: 1})
	if err != nil {
		t.Fatal(err)
	}
	x := s.input("x", 3, 4)
	for name, build := range map[string]func() error{
		"an sLSTM's state for an mLSTM": func() error {
			_, _, err := m.Fwd(x, &State{SLSTM: s.input("a", 4, 1, 4)})
			return err
		},
		"an mLSTM's state for an sLSTM": func() error {
			_, _, err := sl.Fwd(x, &State{C: s.input("b", 1, 1, 4, 4)})
			return err
		},
		"a window for a layer without convolution": func() error {
			_, _, err := sl.Fwd(x, &State{Conv: s.input("c", 1, 2, 4)})
			return err
		},
		"a state without its C": func() error {
			_, _, err := m.Fwd(x, &State{N: s.input("d", 1, 1, 4), M: s.input("e", 1, 1)})
			return err
		},
	} {
		if build() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
