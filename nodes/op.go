package nodes

import (
	"fmt"
	"hash"
	"hash/fnv"
	"slices"

	"github.com/chewxy/hm"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// spec says what an operation is; apply makes a node of it.
type spec struct {
	name  string       // what graphs show
	attrs string       // every attribute: together with name it identifies the operation
	shape tensor.Shape // of the result; empty for a scalar and for a packed result
	parts layout       // of a packed result
	run   kernelPair
	view  *view // instead of run: the result is another node's memory
	put   bool  // the input is the gradient of a piece, and is not looked at; see put
	piece int   // of a packed result, that a put is for
	ints  []int // the inputs that are integers; all others are floats
	// diff returns the gradients of the inputs, nil where there is none. An
	// operation without it is not differentiable.
	diff func(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error)
	// frozen lists float inputs that have no gradient; integers never have one.
	frozen []int
}

// kernel computes a result from the operands, overwriting out: a slice for each
// piece of a packed result, else one. It must not count on what out held before.
type kernel[F kernels.Float] func(out [][]F, in []operand[F]) error

// operand is an input's elements: data for floats, ints for integers.
type operand[F kernels.Float] struct {
	data []F
	ints []int
}

// kernelPair is a kernel in both element types.
type kernelPair struct {
	f32 kernel[float32]
	f64 kernel[float64]
}

// op implements gorgonia.SDOp for a spec and the inputs of one node.
type op struct {
	spec
	in   []hm.Type
	out  hm.Type
	wrt  []bool
	args int // how many of the inputs are the operation's own; see withBases
	exe  executor
	slot *slot // the operation's place in a plan for the memory, nil without one
}

// apply adds a node for s to the graph of its inputs.
func apply(s spec, inputs ...*gorgonia.Node) (*gorgonia.Node, error) {
	dt, err := floatType(s, inputs)
	if err != nil {
		return nil, err
	}
	o := &op{spec: s, out: dt, args: len(inputs), exe: newExecutor(s, dt)}
	if len(s.shape) > 0 {
		o.out = gorgonia.TensorType{Dims: len(s.shape), Of: dt}
	}
	if s.view == nil {
		inputs = withBases(inputs)
	}
	for i, n := range inputs {
		o.in = append(o.in, n.Type())
		o.wrt = append(o.wrt, i < o.args && s.diff != nil && n.Dtype() == dt && !slices.Contains(s.frozen, i))
	}
	node, err := gorgonia.ApplyOp(o, inputs...)
	if err != nil {
		return nil, errors.Wrapf(err, "nodes: adding %s to the graph", s.name)
	}
	return node, checkMerged(o, node, inputs)
}

// checkMerged makes sure that the node is the one that was asked for: a graph
// hands out an existing node for a new one on the word of a 32-bit hash.
func checkMerged(o *op, node *gorgonia.Node, inputs []*gorgonia.Node) error {
	got, ok := node.Op().(*op)
	same := ok && got.name == o.name && got.attrs == o.attrs
	it := node.Graph().From(node.ID())
	for i := 0; same && it.Next(); i++ {
		same = i < len(inputs) && it.Node() == inputs[i]
	}
	if !same {
		return errors.Errorf("nodes: %s collides with another node by its hash; rename a parameter or build a smaller graph", o.name)
	}
	return nil
}

// floatType returns the element type that the float inputs share.
func floatType(s spec, inputs []*gorgonia.Node) (tensor.Dtype, error) {
	var dt tensor.Dtype
	for i, n := range inputs {
		if n == nil {
			return dt, errors.Errorf("nodes: input %d of %s is nil", i, s.name)
		}
		switch got := n.Dtype(); {
		case slices.Contains(s.ints, i):
			if got != tensor.Int {
				return dt, errors.Errorf("nodes: input %d of %s is %v, want int", i, s.name, got)
			}
		case got != tensor.Float32 && got != tensor.Float64:
			return dt, errors.Errorf("nodes: input %d of %s is %v, want float32 or float64", i, s.name, got)
		case dt.Type != nil && got != dt:
			return dt, errors.Errorf("nodes: the inputs of %s mix float32 and float64; make all of them one or the other", s.name)
		default:
			dt = got
		}
	}
	return dt, nil
}

func (o *op) Arity() int { return len(o.in) }

func (o *op) Type() hm.Type { return hm.NewFnType(append(append([]hm.Type{}, o.in...), o.out)...) }

func (o *op) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return o.shape.Clone(), nil }

func (o *op) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	if err := o.slot.enter(); err != nil {
		return nil, errors.Wrapf(err, "nodes: running %s", o.name)
	}
	v, err := o.exe.do(in[:o.args])
	if err != nil {
		return nil, errors.Wrapf(err, "nodes: running %s", o.name)
	}
	o.slot.leave(v)
	return v, nil
}

func (o *op) ReturnsPtr() bool     { return true }
func (o *op) CallsExtern() bool    { return false }
func (o *op) OverwritesInput() int { return -1 }
func (o *op) String() string       { return o.name }

func (o *op) WriteHash(h hash.Hash) { fmt.Fprintf(h, "xlstm %s %s", o.name, o.attrs) }

func (o *op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o *op) DiffWRT(int) []bool { return o.wrt }

func (o *op) SymDiff(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	if o.diff == nil {
		return nil, errors.Errorf("nodes: %s has no derivative", o.name)
	}
	grads, err := o.diff(in[:o.args], out, grad)
	if err != nil {
		return nil, errors.Wrapf(err, "nodes: differentiating %s", o.name)
	}
	return append(grads, make(gorgonia.Nodes, len(in)-o.args)...), nil
}
