package layers

import (
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func scopeOf(t *testing.T, dt tensor.Dtype, seed uint64) Scope {
	t.Helper()
	store, err := NewStore(dt, seed)
	if err != nil {
		t.Fatal(err)
	}
	return NewScope(gorgonia.NewGraph(), store, 1)
}

func param(t *testing.T, s Scope, name string, init Init, shape ...int) []float64 {
	t.Helper()
	n, err := s.Param(name, init, shape...)
	if err != nil {
		t.Fatal(err)
	}
	return numbersIn(n.Value())
}

func TestParametersFollowFromSeedAndNameWhateverTheOrder(t *testing.T) {
	init := Normal(1)
	s := scopeOf(t, tensor.Float64, 5)
	a, b := param(t, s, "a", init, 3, 4), param(t, s, "b", init, 3, 4)
	s = scopeOf(t, tensor.Float64, 5)
	b2, a2 := param(t, s, "b", init, 3, 4), param(t, s, "a", init, 3, 4)
	if !slices.Equal(a, a2) || !slices.Equal(b, b2) {
		t.Error("the order in which parameters are made changes them")
	}
	if slices.Equal(a, b) {
		t.Error("two names have the same numbers")
	}
	s = scopeOf(t, tensor.Float64, 6)
	if slices.Equal(a, param(t, s, "a", init, 3, 4)) {
		t.Error("two seeds give the same numbers")
	}
}

func TestFloat32ParametersAreTheFloat64OnesRounded(t *testing.T) {
	a := param(t, scopeOf(t, tensor.Float64, 5), "a", Normal(1), 100)
	n, err := scopeOf(t, tensor.Float32, 5).Param("a", Normal(1), 100)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range n.Value().Data().([]float32) {
		if v != float32(a[i]) {
			t.Fatalf("element %d is %v, want %v", i, v, a[i])
		}
	}
}

func TestGraphsOfOneStoreShareTheTensors(t *testing.T) {
	store, err := NewStore(tensor.Float64, 1)
	if err != nil {
		t.Fatal(err)
	}
	var ns gorgonia.Nodes
	for range 2 {
		n, err := NewScope(gorgonia.NewGraph(), store, 1).Sub("layer").Param("weight", Normal(1), 2, 3)
		if err != nil {
			t.Fatal(err)
		}
		ns = append(ns, n)
	}
	if ns[0].Value() != ns[1].Value() {
		t.Error("two graphs have a tensor each")
	}
	p, ok := store.Get("layer.weight")
	if !ok || gorgonia.Value(p.Value) != ns[0].Value() {
		t.Error("the store does not hold the graphs' tensor")
	}
	if store.Size() != 6 || len(store.Params()) != 1 {
		t.Errorf("%d elements in %d parameters, want 6 in 1", store.Size(), len(store.Params()))
	}
}

func TestParameterAskedForTwiceInOneGraphIsAnError(t *testing.T) {
	s := scopeOf(t, tensor.Float64, 1).Sub("blocks.0")
	param(t, s, "weight", Normal(1), 2)
	_, err := s.Param("weight", Normal(1), 2)
	testutil.WantError(t, err, "blocks.0.weight")
	_, err = s.Sub("").Param("weight", Normal(1), 2)
	if err != nil {
		t.Errorf("another name is refused: %v", err)
	}
}

func TestParameterOfAnotherShapeIsAnError(t *testing.T) {
	store, err := NewStore(tensor.Float64, 1)
	if err != nil {
		t.Fatal(err)
	}
	param(t, NewScope(gorgonia.NewGraph(), store, 1), "weight", Normal(1), 2, 3)
	_, err = NewScope(gorgonia.NewGraph(), store, 1).Param("weight", Normal(1), 3, 2)
	testutil.WantError(t, err, "weight", "(2, 3)", "(3, 2)")
}

func TestStoreOfAnotherDtypeIsAnError(t *testing.T) {
	_, err := NewStore(tensor.Int, 1)
	testutil.WantError(t, err, "int")
}

func TestScopeJoinsNamesWithDots(t *testing.T) {
	s := scopeOf(t, tensor.Float64, 1)
	n, err := s.Sub("a").Sub("b").Param("c", Normal(1), 1)
	if err != nil {
		t.Fatal(err)
	}
	if n.Name() != "a.b.c" {
		t.Errorf("the parameter's name is %q", n.Name())
	}
	if ls := s.Learnables(); len(ls) != 1 || ls[0] != n {
		t.Errorf("learnables of the root: %v", ls)
	}
}

func TestDropoutOfALayerNeedsTraining(t *testing.T) {
	s := scopeOf(t, tensor.Float64, 1)
	x := s.input("x", 2, 3)
	if y, err := s.Sub("a").Dropout(x, 0.5); err != nil || y != x {
		t.Errorf("a graph that does not train drops: %v, %v", y, err)
	}
	key := s.Training()
	if s.Sub("a").Training() != key {
		t.Error("a graph has two dropout keys")
	}
	a, errA := s.Sub("a").Dropout(x, 0.5)
	b, errB := s.Sub("b").Dropout(x, 0.5)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if a == x || a == b {
		t.Error("dropouts of two scopes are not two operations")
	}
	if y, err := s.Sub("a").Dropout(x, 0); err != nil || y != x {
		t.Error("a rate of 0 adds an operation")
	}
}

// TestShapeStoreHoldsNothing: parameters far too large to be made have a node and
// no value.
func TestShapeStoreHoldsNothing(t *testing.T) {
	store, err := NewStore(tensor.Float32, 0, ShapesOnly())
	if err != nil {
		t.Fatal(err)
	}
	s := NewScope(gorgonia.NewGraph(), store, 1)
	n, err := s.Param("weight", Normal(1), 1<<20, 1<<20)
	if err != nil || n.Value() != nil || !n.Shape().Eq(tensor.Shape{1 << 20, 1 << 20}) {
		t.Errorf("%v of shape %v with value %v: %v", n, n.Shape(), n.Value(), err)
	}
	if len(store.Params()) != 0 || store.Size() != 0 || len(s.Learnables()) != 1 {
		t.Errorf("%d parameters of %d elements, %d learnables", len(store.Params()), store.Size(), len(s.Learnables()))
	}
	if _, err := s.Param("bias", Normal(1), 0); err == nil {
		t.Error("no error for a parameter without elements")
	}
	if _, err := NewStore(tensor.Int, 0, ShapesOnly()); err == nil {
		t.Error("no error for parameters that are integers")
	}
}
