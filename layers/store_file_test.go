package layers

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// storeOf returns a store with the parameters of a stack.
func storeOf(t *testing.T, dt tensor.Dtype, seed uint64) *Store {
	t.Helper()
	store, err := NewStore(dt, seed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewStack(NewScope(gorgonia.NewGraph(), store, 1), stackOf()); err != nil {
		t.Fatal(err)
	}
	return store
}

func TestStoresAreSavedAndLoaded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.safetensors")
	from, to := storeOf(t, tensor.Float64, 1), storeOf(t, tensor.Float64, 2)
	if err := from.Save(path); err != nil {
		t.Fatal(err)
	}
	bound := to.params[0].Value
	if err := to.Load(path); err != nil {
		t.Fatal(err)
	}
	if to.params[0].Value != bound {
		t.Error("graphs have another tensor than the store")
	}
	narrow := storeOf(t, tensor.Float32, 2)
	if err := narrow.Load(path); err != nil {
		t.Fatal(err)
	}
	for i, p := range from.Params() {
		want := p.Value.Float64s()
		if !slices.Equal(to.params[i].Value.Float64s(), want) {
			t.Errorf("%s is another", p.Name)
		}
		for k, v := range narrow.params[i].Value.Float32s() {
			if v != float32(want[k]) {
				t.Fatalf("%s in float32 is %v for %v", p.Name, v, want[k])
			}
		}
	}
}

// TestStoresAreLeftAloneByFilesThatDoNotFit: nothing is loaded in part.
func TestStoresAreLeftAloneByFilesThatDoNotFit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.safetensors")
	for name, change := range map[string]func(ts []safetensors.Tensor) []safetensors.Tensor{
		"is missing":   func(ts []safetensors.Tensor) []safetensors.Tensor { return ts[1:] },
		"no parameter": func(ts []safetensors.Tensor) []safetensors.Tensor { ts[0].Name = "x"; return ts },
		"has shape (1)": func(ts []safetensors.Tensor) []safetensors.Tensor {
			ts[len(ts)-1].Value = tensor.New(tensor.WithShape(1), tensor.WithBacking([]float64{1}))
			return ts
		},
		"are not finite": func(ts []safetensors.Tensor) []safetensors.Tensor {
			ts[len(ts)-1].Value.Float64s()[0] = math.NaN()
			return ts
		},
	} {
		if err := storeOf(t, tensor.Float64, 1).Save(path); err != nil {
			t.Fatal(err)
		}
		ts, _, err := safetensors.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := safetensors.WriteFile(path, change(ts), nil); err != nil {
			t.Fatal(err)
		}
		store, untouched := storeOf(t, tensor.Float64, 2), storeOf(t, tensor.Float64, 2)
		testutil.WantError(t, store.Load(path), path, name)
		for i, p := range store.Params() {
			if !slices.Equal(p.Value.Float64s(), untouched.params[i].Value.Float64s()) {
				t.Errorf("%s: %s was changed", name, p.Name)
			}
		}
	}
	testutil.WantError(t, storeOf(t, tensor.Float64, 1).Load(filepath.Join(t.TempDir(), "no")), "no")
}
