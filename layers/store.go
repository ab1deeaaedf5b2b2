package layers

import (
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// Param is a parameter: a name and the tensor that all graphs share.
type Param struct {
	Name  string
	Value *tensor.Dense
}

// Store holds the parameters of a model by name. A parameter that a Scope
// requests is created on first use and initialised from the store's seed and
// the parameter's name only, so that the order in which a model is built does
// not matter.
//
// Graphs that share a store must not run concurrently.
type Store struct {
	dtype              tensor.Dtype
	seed               uint64
	params             []Param
	byName             map[string]int
	packed             map[string]PackedParam
	zeroed, shapesOnly bool
}

// StoreOption is an option of NewStore.
type StoreOption func(*Store)

// Zeroed creates parameters that are all zero, for values that are set
// immediately afterwards, which avoids the time and memory of drawing random
// numbers.
func Zeroed() StoreOption { return func(s *Store) { s.zeroed = true } }

// ShapesOnly creates no parameter values. Graphs built with the store can be
// inspected, however large the parameters would be, but not run.
func ShapesOnly() StoreOption { return func(s *Store) { s.shapesOnly = true } }

// NewStore returns an empty store for parameters of dtype tensor.Float32 or
// tensor.Float64, which are initialised from the seed.
func NewStore(dtype tensor.Dtype, seed uint64, opts ...StoreOption) (*Store, error) {
	if dtype != tensor.Float32 && dtype != tensor.Float64 {
		return nil, errors.Errorf("layers: parameters are float32 or float64, not %v", dtype)
	}
	s := &Store{dtype: dtype, seed: seed, byName: make(map[string]int)}
	for _, opt := range opts {
		opt(s)
	}
	return s, nil
}

// Dtype returns the element type of the parameters.
func (s *Store) Dtype() tensor.Dtype { return s.dtype }

// Seed returns the seed of the initialisation.
func (s *Store) Seed() uint64 { return s.seed }

// Params returns the parameters in the order in which they were created, without
// packed ones.
func (s *Store) Params() []Param { return append([]Param(nil), s.params...) }

// Packed returns the packed parameters by name.
func (s *Store) Packed() (all []PackedParam) {
	for _, name := range slices.Sorted(maps.Keys(s.packed)) {
		all = append(all, s.packed[name])
	}
	return all
}

// Get returns the parameter of that name, unless it is packed.
func (s *Store) Get(name string) (Param, bool) {
	i, ok := s.byName[name]
	if !ok {
		return Param{}, false
	}
	return s.params[i], true
}

// Size returns the number of elements of all parameters, packed ones included.
func (s *Store) Size() (n int) {
	for _, p := range s.params {
		n += p.Value.Size()
	}
	for _, p := range s.packed {
		n += p.Out * p.In
	}
	return n
}

// Save writes all parameters to a safetensors file, with their names. An
// existing file is replaced atomically.
func (s *Store) Save(path string) error {
	var tensors []safetensors.Tensor
	for _, p := range s.params {
		tensors = append(tensors, safetensors.Tensor{Name: p.Name, Value: p.Value})
	}
	return errors.Wrap(safetensors.WriteFile(path, tensors, nil), "layers: saving the parameters")
}

// Load sets all parameters from a file written by Save, or by another program
// in the same format, in F64, F32, F16 or BF16. The layers must have been
// created before; their graphs use the new values. The file must contain every
// parameter, with its shape and finite numbers, and no other tensor; otherwise
// Load returns an error and does not change the store.
func (s *Store) Load(path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return errors.Wrap(err, "layers: loading the parameters")
	}
	defer f.Close()
	return errors.Wrapf(s.LoadEntries(f.Entries), "layers: loading the parameters from %s", path)
}

// LoadEntries is Load for the tensors of a file that is open.
func (s *Store) LoadEntries(entries []safetensors.Entry) error {
	loaded := make(map[string]*tensor.Dense)
	for _, e := range entries {
		p, ok := s.Get(e.Name)
		if !ok {
			return errors.Errorf("%.200q is no parameter of the layers that were made with this store", e.Name)
		}
		if !p.Value.Shape().Eq(tensor.Shape(e.Shape)) {
			return errors.Errorf("%s has shape %v and not %v", e.Name, tensor.Shape(e.Shape), p.Value.Shape())
		}
		t := tensor.New(tensor.Of(s.dtype), tensor.WithShape(e.Shape...))
		if err := e.ReadInto(t); err != nil {
			return err
		}
		if !safetensors.EncodingOf(s.dtype).Holds(t) {
			return errors.Errorf("%s has numbers that are not finite in %v", e.Name, s.dtype)
		}
		loaded[e.Name] = t
	}
	for _, p := range s.params {
		if loaded[p.Name] == nil {
			return errors.Errorf("%s is missing", p.Name)
		}
	}
	for _, p := range s.params {
		if err := tensor.Copy(p.Value, loaded[p.Name]); err != nil {
			return errors.Wrapf(err, "parameter %s", p.Name)
		}
	}
	return nil
}

// param returns the tensor of that name, making it if need be; nil if the store
// is for shapes alone.
func (s *Store) param(name string, init Init, shape []int) (*tensor.Dense, error) {
	if p, ok := s.Get(name); ok {
		if !p.Value.Shape().Eq(tensor.Shape(shape)) {
			return nil, errors.Errorf("layers: parameter %s has shape %v, but a layer asks for %v", name, p.Value.Shape(), tensor.Shape(shape))
		}
		return p.Value, nil
	}
	for _, n := range shape {
		if n < 1 {
			return nil, errors.Errorf("layers: parameter %s cannot have shape %v", name, tensor.Shape(shape))
		}
	}
	if s.shapesOnly {
		return nil, nil
	}
	t := tensor.New(tensor.Of(s.dtype), tensor.WithShape(shape...))
	if !s.zeroed {
		s.initialise(name, init, t)
	}
	s.byName[name] = len(s.params)
	s.params = append(s.params, Param{Name: name, Value: t})
	return t, nil
}

// initialise draws the numbers of a parameter.
func (s *Store) initialise(name string, init Init, t *tensor.Dense) {
	h := fnv.New64a()
	h.Write([]byte(name))
	values := make([]float64, t.Shape().TotalSize())
	init(rand.New(rand.NewPCG(s.seed, h.Sum64())), values)
	floats.Of(t.Data()).Write(values)
}
