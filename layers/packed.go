package layers

import (
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// ScaleSuffix follows the name of a packed weight in the name of its scales.
const ScaleSuffix = "_scale"

// PackedParam is a weight (Out, In) that is held in a packed format. It is
// constant: it has no gradient.
type PackedParam struct {
	Name    string
	Out, In int
	Format  nodes.Format
	// Data and Scales are the bytes of the matrix and of the scales, with an axis
	// for the rows; Scales is nil in BF16.
	Data, Scales *tensor.Dense
}

// SetPacked makes layers that are created after the call use packed weights for
// the parameters of these names. Only the weights of linear maps and embeddings
// can be packed, except those of gates; see TensorShape.Packable.
func (s *Store) SetPacked(params ...PackedParam) {
	if s.packed == nil {
		s.packed = make(map[string]PackedParam)
	}
	for _, p := range params {
		s.packed[p.Name] = p
	}
}

// matrix is a weight (Out, In) in a graph.
type matrix struct {
	out, in int
	Weight  *gorgonia.Node // nil if it is packed
	packed  nodes.Packed
}

// inFloat returns a scope in which all weights are parameters of the scope's
// element type.
func (s Scope) inFloat() Scope {
	s.float = true
	return s
}

// matrix returns the weight of a linear map.
func (s Scope) matrix(name string, init Init, out, in int) (matrix, error) {
	path := s.path(name)
	p, packed := s.store.packed[path]
	if s.float || !packed {
		n, err := s.Param(name, init, out, in)
		if err == nil && !s.float && in%nodes.Group == 0 {
			s.describe(func(p *Part) { p.Params[len(p.Params)-1].Packable = true })
		}
		return matrix{out: out, in: in, Weight: n}, err
	}
	if p.Out != out || p.In != in {
		return matrix{}, errors.Errorf("layers: the packed weight %s has shape %v, but a layer asks for %v", path, tensor.Shape{p.Out, p.In}, tensor.Shape{out, in})
	}
	if s.params[path] != nil {
		return matrix{}, errors.Errorf("layers: two layers of one graph ask for parameter %s; give one of them a scope of its own", path)
	}
	m := matrix{out: out, in: in, packed: nodes.Packed{Format: p.Format, Data: s.constant(path, p.Data)}}
	if p.Scales != nil {
		m.packed.Scales = s.constant(path+ScaleSuffix, p.Scales)
	}
	s.params[path] = m.packed.Data
	s.describe(func(p *Part) {
		p.Params = append(p.Params, TensorShape{Name: path, Shape: []int{out, in}, Packable: true})
	})
	return m, nil
}

// constant adds an input that is bound to bytes.
func (s Scope) constant(path string, value *tensor.Dense) *gorgonia.Node {
	return gorgonia.NewTensor(s.g, tensor.Byte, value.Dims(), gorgonia.WithShape(value.Shape()...), gorgonia.WithName(path), gorgonia.WithValue(value))
}

// shared returns the matrix twice, for two readers.
func (m matrix) shared() (a, b matrix, err error) {
	if m.Weight == nil {
		return m, m, nil
	}
	readers, err := nodes.Fork(m.Weight, 2)
	if err != nil {
		return m, m, err
	}
	a, b = m, m
	a.Weight, b.Weight = readers[0], readers[1]
	return a, b, nil
}

// multiply returns x·Wᵀ + b in column blocks of the given widths; b may be nil.
func (m matrix) multiply(x, b *gorgonia.Node, widths ...int) ([]*gorgonia.Node, error) {
	if m.Weight == nil {
		return nodes.PackedLinearSplit(x, m.packed, b, widths...)
	}
	return nodes.LinearSplit(x, m.Weight, b, widths...)
}

// rows returns the rows of the matrix with these ids.
func (m matrix) rows(ids *gorgonia.Node) (*gorgonia.Node, error) {
	if m.Weight == nil {
		return nodes.PackedEmbedding(ids, m.packed, m.in)
	}
	return nodes.Embedding(ids, m.Weight)
}
