package layers

import (
	"hash/fnv"
	"math/rand/v2"

	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// Param is a parameter: a name and the tensor that all graphs share.
type Param struct {
	Name  string
	Value *tensor.Dense
}

// Store holds the parameters of a model by name. What a Scope asks for is made
// on first use, initialised from the store's seed and the parameter's name
// alone: the order in which a model is built does not matter.
//
// Graphs that share a store must not run at the same time.
type Store struct {
	dtype              tensor.Dtype
	seed               uint64
	params             []Param
	byName             map[string]int
	zeroed, shapesOnly bool
}

// StoreOption is an option of NewStore.
type StoreOption func(*Store)

// Zeroed makes parameters that are all zero, to be set at once: it takes neither
// the time nor the memory of drawing numbers.
func Zeroed() StoreOption { return func(s *Store) { s.zeroed = true } }

// ShapesOnly makes no parameters. Graphs that are built with the store can be
// looked at, however large the parameters would be, but not run.
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

// Params returns the parameters in the order in which they were made.
func (s *Store) Params() []Param { return append([]Param(nil), s.params...) }

// Get returns the parameter of that name.
func (s *Store) Get(name string) (Param, bool) {
	i, ok := s.byName[name]
	if !ok {
		return Param{}, false
	}
	return s.params[i], true
}

// Size returns the number of elements of all parameters.
func (s *Store) Size() (n int) {
	for _, p := range s.params {
		n += p.Value.Size()
	}
	return n
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
	switch data := t.Data().(type) {
	case []float32:
		for i, v := range values {
			data[i] = float32(v)
		}
	case []float64:
		copy(data, values)
	}
}
