package layers

import (
	"fmt"
	"hash/fnv"

	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Scope is a position in a graph under construction: the graph, the size of the
// batch, the store of the parameters, and the current dotted path of names.
type Scope struct {
	*build
	prefix string
	into   *Description // what layers add themselves to, nil for nothing
	part   *Part        // of into
	float  bool         // weights are not packed
}

// build is what all scopes of one graph share.
type build struct {
	g        *gorgonia.ExprGraph
	store    *Store
	batch    int
	dropout  *gorgonia.Node
	resets   *gorgonia.Node
	cells    CellConfig
	adapters *Adapters // nil for none
	params   map[string]*gorgonia.Node
	order    gorgonia.Nodes
}

// NewScope returns the root scope of a graph that processes batch sequences at
// a time.
func NewScope(g *gorgonia.ExprGraph, store *Store, batch int) Scope {
	return Scope{build: &build{g: g, store: store, batch: batch, params: make(map[string]*gorgonia.Node)}}
}

// Training enables the dropouts of this graph and returns the input node for
// their key; see nodes.DropoutKey. It applies to layers used after the call.
func (s Scope) Training() *gorgonia.Node {
	if s.dropout == nil {
		s.dropout = nodes.DropoutKey(s.g)
	}
	return s.dropout
}

// ResetAt resets the states of this graph where resets, B·T integers,
// batch-major, are not 0: there a document begins, which is computed as if it
// were alone. It applies to layers used after the call.
func (s Scope) ResetAt(resets *gorgonia.Node) { s.build.resets = resets }

// CellConfig selects how the cells of a graph are computed. The functions are
// the same in all cases.
type CellConfig struct {
	// Form and Chunk are for mLSTM cells; see nodes.MLSTMConfig.
	Form  nodes.Form
	Chunk int
	// Symbolic builds cells step by step from primitives.
	Symbolic bool
}

// ComputeCells sets how the cells of this graph are computed. It applies to
// layers created after the call.
func (s Scope) ComputeCells(cfg CellConfig) { s.build.cells = cfg }

// Sub returns the scope of that name within s.
func (s Scope) Sub(name string) Scope {
	s.prefix = s.path(name)
	return s
}

func (s Scope) path(name string) string {
	if s.prefix == "" {
		return name
	}
	return s.prefix + "." + name
}

// Graph returns the graph under construction.
func (s Scope) Graph() *gorgonia.ExprGraph { return s.g }

// Batch returns the number of sequences that the graph processes at a time.
func (s Scope) Batch() int { return s.batch }

// Dtype returns the element type of parameters and activations.
func (s Scope) Dtype() tensor.Dtype { return s.store.dtype }

// Learnables returns the nodes of the parameters in this graph, in the order in
// which the layers requested them.
func (s Scope) Learnables() gorgonia.Nodes { return append(gorgonia.Nodes(nil), s.order...) }

// Param returns the node of a parameter, bound to the store's tensor if the
// store has values. Requesting the same name twice in a graph is an error: pass
// the node on instead.
func (s Scope) Param(name string, init Init, shape ...int) (*gorgonia.Node, error) {
	return s.paramOf(s.store, name, init, shape...)
}

// paramOf is Param with the tensor of a particular store.
func (s Scope) paramOf(store *Store, name string, init Init, shape ...int) (*gorgonia.Node, error) {
	path := s.path(name)
	if s.params[path] != nil {
		return nil, errors.Errorf("layers: two layers of one graph ask for parameter %s; give one of them a scope of its own", path)
	}
	value, err := store.param(path, init, shape)
	if err != nil {
		return nil, err
	}
	opts := []gorgonia.NodeConsOpt{gorgonia.WithShape(shape...), gorgonia.WithName(path)}
	if value != nil {
		opts = append(opts, gorgonia.WithValue(value))
	}
	n := gorgonia.NewTensor(s.g, s.store.dtype, len(shape), opts...)
	if value != nil && n.Value() != value {
		// Gorgonia gave us a node that was there.
		return nil, errors.Errorf("layers: the graph has another input named %s; two models in one graph need scopes of different names, or one store", path)
	}
	s.params[path] = n
	s.order = append(s.order, n)
	s.describe(func(p *Part) { p.Params = append(p.Params, TensorShape{Name: path, Shape: shape}) })
	return n, nil
}

// Input adds an input node of the scope's element type. Input returns an error
// if the graph already has an input or a parameter of that name.
func (s Scope) Input(name string, shape ...int) (*gorgonia.Node, error) {
	if path := s.path(name); len(s.g.ByName(path)) > 0 {
		return nil, errors.Errorf("layers: the graph has an input named %s already", path)
	}
	return s.input(name, shape...), nil
}

// input adds an input node, or returns the one of that name and shape.
func (s Scope) input(name string, shape ...int) *gorgonia.Node {
	return gorgonia.NewTensor(s.g, s.store.dtype, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(s.path(name)))
}

// zeros adds an input that is bound to zeros, one for all that ask by one name.
func (s Scope) zeros(name string, shape ...int) (*gorgonia.Node, error) {
	n := s.input(name, shape...)
	return n, gorgonia.Let(n, tensor.New(tensor.Of(s.store.dtype), tensor.WithShape(shape...)))
}

// scalar adds a constant.
func (s Scope) scalar(x float64) *gorgonia.Node {
	if s.store.dtype == tensor.Float32 {
		return s.g.Constant(gorgonia.NewF32(float32(x)))
	}
	return s.g.Constant(gorgonia.NewF64(x))
}

// label names the node after the scope, for readers of the graph.
func (s Scope) label(n *gorgonia.Node) {
	if n != nil && n.Op() != nil {
		gorgonia.WithName(s.prefix)(n)
	}
}

// Dropout applies dropout at the given rate if the graph is for training;
// otherwise it returns x. The scope identifies the dropout: each scope can have
// one.
func (s Scope) Dropout(x *gorgonia.Node, rate float64) (*gorgonia.Node, error) {
	if s.dropout == nil || rate == 0 {
		return x, nil
	}
	h := fnv.New64a()
	fmt.Fprint(h, s.prefix)
	y, err := nodes.Dropout(x, s.dropout, h.Sum64(), rate)
	s.Sub("dropout").label(y)
	return y, err
}
