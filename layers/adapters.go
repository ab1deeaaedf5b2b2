package layers

import (
	"strings"

	"github.com/gorgonia-xlstm/xlstm/nodes"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Adapters give linear maps (Linear, not HeadwiseLinear and recurrent kernels) a
// correction of low rank (LoRA, Hu et al., 2021): in
// the place of a weight W (Out, In) a layer uses W + Scale·B·Aᵀ, with parameters
// "lora_a" (In, Rank), initialised at random, and "lora_b" (Out, Rank),
// initialised to zero, so that the map is the same at first.
type Adapters struct {
	// Store holds the parameters of all adapters, apart from those of the layers.
	Store *Store
	Rank  int
	Scale float64
	// On reports whether a linear map has an adapter, by the name of its weight.
	On func(weight string) bool
}

// The names of an adapter's parameters, after that of its layer.
const (
	adapterA = "lora_a"
	adapterB = "lora_b"
)

// AdapterOf returns the name of the first parameter of the adapter that corrects
// a weight of that name.
func AdapterOf(weight string) string { return strings.TrimSuffix(weight, "weight") + adapterA }

// Adapt gives the linear maps of this graph adapters. It applies to layers
// created after the call.
func (s Scope) Adapt(a *Adapters) { s.build.adapters = a }

// adapt returns what a linear map uses in the place of its weight.
func (s Scope) adapt(m matrix) (matrix, error) {
	a := s.build.adapters
	if a == nil || m.Weight == nil || !a.On(s.path("weight")) {
		return m, nil
	}
	s = s.Describe(nil) // the parts of a model do not change
	in, err := s.paramOf(a.Store, adapterA, Small(m.in), m.in, a.Rank)
	if err != nil {
		return m, err
	}
	out, err := s.paramOf(a.Store, adapterB, Constant(0), m.out, a.Rank)
	if err != nil {
		return m, err
	}
	scale, err := s.diagonal("lora_scale", a.Rank, a.Scale)
	if err != nil {
		return m, err
	}
	// B·(Scale·I)·Aᵀ, as two linear maps of the rows of B.
	scaled, err := nodes.Linear(out, scale, nil)
	if err != nil {
		return m, err
	}
	low, err := nodes.Linear(scaled, in, nil)
	if err != nil {
		return m, err
	}
	m.Weight, err = nodes.Add(m.Weight, low)
	return m, err
}

// diagonal adds an input that is bound to x times the identity of so many rows.
func (s Scope) diagonal(name string, rows int, x float64) (*gorgonia.Node, error) {
	n := s.input(name, rows, rows)
	t := tensor.New(tensor.Of(s.store.dtype), tensor.WithShape(rows, rows))
	for i := range rows {
		var v any = x
		if s.store.dtype == tensor.Float32 {
			v = float32(x)
		}
		if err := t.SetAt(v, i, i); err != nil {
			return nil, err
		}
	}
	return n, gorgonia.Let(n, t)
}

// Merge adds the corrections of all adapters to the weights of their layers in a
// store.
func (a *Adapters) Merge(into *Store) error {
	for _, p := range a.Store.params {
		layer, isA := strings.CutSuffix(p.Name, "."+adapterA)
		if !isA {
			continue
		}
		b, w := a.Store.byName[layer+"."+adapterB], into.byName[layer+".weight"]
		if err := a.mergeOne(into.params[w].Value, p.Value, a.Store.params[b].Value); err != nil {
			return err
		}
	}
	return nil
}

func (a *Adapters) mergeOne(w, in, out *tensor.Dense) error {
	in = in.Clone().(*tensor.Dense)
	if err := in.T(); err != nil {
		return err
	}
	low, err := out.MatMul(in)
	if err != nil {
		return err
	}
	var scale any = a.Scale
	if w.Dtype() == tensor.Float32 {
		scale = float32(a.Scale)
	}
	if low, err = low.MulScalar(scale, true, tensor.UseUnsafe()); err != nil {
		return err
	}
	_, err = w.Add(low, tensor.UseUnsafe())
	return err
}
