package nodes

import (
	"hash"
	"hash/fnv"
	"io"
	"slices"

	"github.com/chewxy/hm"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// spec is an operation and its derivative.
type spec struct {
	op ops.Op
	// diff returns the gradients of the inputs, nil where there is none. An
	// operation without it is not differentiable.
	diff func(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error)
	// frozen lists float inputs that have no gradient; integers never have one.
	frozen []int
}

// op implements gorgonia.SDOp for a spec and the inputs of one node.
type op struct {
	spec
	key  string // of spec.op
	in   []hm.Type
	out  hm.Type
	wrt  []bool
	args int   // how many of the inputs are the operation's own; see withBases
	from *op   // of a part: the operation that it is a piece of
	exe  *exec // of what computes
	slot *slot // the operation's place in a plan for the memory, nil without one
}

// apply adds a node for s to the graph of its inputs.
func apply(s spec, inputs ...*gorgonia.Node) (*gorgonia.Node, error) {
	dt, err := floatType(s.op, inputs)
	if err != nil {
		return nil, err
	}
	o := &op{spec: s, key: ops.Key(s.op), out: dt, args: len(inputs)}
	if shape := o.shape(); len(shape) > 0 {
		o.out = gorgonia.TensorType{Dims: len(shape), Of: dt}
	}
	switch s.op.(type) {
	case ops.Part:
		o.from = inputs[0].Op().(*op)
	case ops.Fork, ops.Branch, ops.Put:
	default:
		o.exe = &exec{op: s.op, dtype: dtypeOf(dt)}
		inputs = withBases(inputs)
	}
	for i, n := range inputs {
		o.in = append(o.in, n.Type())
		o.wrt = append(o.wrt, i < o.args && s.diff != nil && n.Dtype() == dt && !slices.Contains(s.frozen, i))
	}
	node, err := gorgonia.ApplyOp(o, inputs...)
	if err != nil {
		return nil, errors.Wrapf(err, "nodes: adding %s to the graph", s.op.Name())
	}
	return node, checkMerged(o, node, inputs)
}

// shape is that of the operation's value: a scalar for a packed result.
func (o *op) shape() tensor.Shape {
	if out := o.op.Outputs(); len(out) == 1 {
		return tensor.Shape(out[0].Shape)
	}
	return nil
}

// packed reports whether the operation has several results; see part.
func (o *op) packed() bool { return len(o.op.Outputs()) > 1 }

// checkMerged makes sure that the node is the one that was asked for: a graph
// hands out an existing node for a new one on the word of a 32-bit hash.
func checkMerged(o *op, node *gorgonia.Node, inputs []*gorgonia.Node) error {
	got, ok := node.Op().(*op)
	same := ok && got.key == o.key
	it := node.Graph().From(node.ID())
	for i := 0; same && it.Next(); i++ {
		same = i < len(inputs) && it.Node() == inputs[i]
	}
	if !same {
		return errors.Errorf("nodes: %s collides with another node by its hash; rename a parameter or build a smaller graph", o.op.Name())
	}
	return nil
}

// floatType returns the element type that the float inputs share, once all inputs
// are what the operation takes.
func floatType(o ops.Op, inputs []*gorgonia.Node) (tensor.Dtype, error) {
	var dt tensor.Dtype
	args := o.Inputs()
	if len(args) != len(inputs) {
		return dt, errors.Errorf("nodes: %s takes %d inputs, got %d", o.Name(), len(args), len(inputs))
	}
	for i, n := range inputs {
		if n == nil {
			return dt, errors.Errorf("nodes: input %d of %s is nil", i, o.Name())
		}
		if n.Shape().TotalSize() != args[i].Shape.Size() {
			return dt, errors.Errorf("nodes: input %d of %s, %s, has shape %v, want %v", i, o.Name(), args[i].Name, n.Shape(), args[i].Shape)
		}
		switch got := n.Dtype(); {
		case args[i].Int:
			if got != tensor.Int {
				return dt, errors.Errorf("nodes: input %d of %s is %v, want int", i, o.Name(), got)
			}
		case args[i].Bytes:
			if got != tensor.Byte {
				return dt, errors.Errorf("nodes: input %d of %s is %v, want bytes", i, o.Name(), got)
			}
		case got != tensor.Float32 && got != tensor.Float64:
			return dt, errors.Errorf("nodes: input %d of %s is %v, want float32 or float64", i, o.Name(), got)
		case dt.Type != nil && got != dt:
			return dt, errors.Errorf("nodes: the inputs of %s mix float32 and float64; make all of them one or the other", o.Name())
		default:
			dt = got
		}
	}
	if dt.Type == nil {
		dt = tensor.Float32 // packed numbers alone
	}
	return dt, nil
}

// dtypeOf is the element type of a tensor.
func dtypeOf(dt tensor.Dtype) ops.Dtype {
	switch dt {
	case tensor.Float32:
		return ops.Float32
	case tensor.Float64:
		return ops.Float64
	case tensor.Byte:
		return ops.Byte
	}
	return ops.Int
}

func (o *op) Arity() int { return len(o.in) }

func (o *op) Type() hm.Type { return hm.NewFnType(append(append([]hm.Type{}, o.in...), o.out)...) }

func (o *op) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return o.shape().Clone(), nil }

func (o *op) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	if err := o.slot.enter(); err != nil {
		return nil, errors.Wrapf(err, "nodes: running %s", o.op.Name())
	}
	v, err := o.value(in[:o.args])
	if err != nil {
		return nil, errors.Wrapf(err, "nodes: running %s", o.op.Name())
	}
	o.slot.leave(v)
	return v, nil
}

func (o *op) value(in []gorgonia.Value) (gorgonia.Value, error) {
	switch view := o.op.(type) {
	case ops.Part:
		return o.from.exe.piece(view.K)
	case ops.Fork, ops.Branch:
		return in[0], nil
	case ops.Put:
		return nothing(dtypeOf(in[0].Dtype())), nil
	}
	return o.exe.do(in)
}

func (o *op) ReturnsPtr() bool     { return true }
func (o *op) CallsExtern() bool    { return false }
func (o *op) OverwritesInput() int { return -1 }
func (o *op) String() string       { return o.op.Name() }

// Trivial reports that the operation computes nothing: it is a view, or splits
// or joins tensors. A drawing of the graph may omit it; see package dot.
func (o *op) Trivial() bool { return o.op.Kind() != ops.Compute }

// MulAdds is the number of multiply-adds in the operation's matrix products and
// convolutions, for what adds up the arithmetic of a graph.
func (o *op) MulAdds() int64 { return o.op.MulAdds() }

func (o *op) WriteHash(h hash.Hash) { io.WriteString(h, o.key) }

func (o *op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o *op) DiffWRT(int) []bool { return o.wrt }

// DoDiff is how a LispMachine differentiates. Without it the machine would pass
// over the operation and leave gradients of zero.
func (o *op) DoDiff(gorgonia.ExecutionContext, gorgonia.Nodes, *gorgonia.Node) error {
	return errors.Errorf("nodes: a LispMachine cannot differentiate %s: call gorgonia.Grad and run the graph on a gorgonia.NewTapeMachine, or run it forward alone, with gorgonia.ExecuteFwdOnly", o.op.Name())
}

func (o *op) SymDiff(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	if o.diff == nil {
		return nil, errors.Errorf("nodes: %s has no derivative", o.op.Name())
	}
	grads, err := o.diff(in[:o.args], out, grad)
	if err != nil {
		return nil, errors.Wrapf(err, "nodes: differentiating %s", o.op.Name())
	}
	return append(grads, make(gorgonia.Nodes, len(in)-o.args)...), nil
}
