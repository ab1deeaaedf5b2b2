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
	shape tensor.Shape // of the result; empty for a scalar
	parts layout       // of a packed result
	piece int          // of a packed result, that a put stands for
	run   kernelPair
	ints  []int // the inputs that are integers; all others are floats
	// diff returns the gradients of the inputs, nil where there is none. An
	// operation without it is not differentiable.
	diff func(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error)
	// frozen lists float inputs that have no gradient; integers never have one.
	frozen []int
}

// kernel computes a result from the operands, overwriting out.
type kernel[F kernels.Float] func(out []F, in []operand[F]) error

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
	in  []hm.Type
	out hm.Type
	wrt []bool
	exe executor
}

// executor runs a kernel on values and owns the result's memory.
type executor interface {
	do(in []gorgonia.Value) (gorgonia.Value, error)
}

// apply adds a node for s to the graph of its inputs.
func apply(s spec, inputs ...*gorgonia.Node) (*gorgonia.Node, error) {
	dt, err := floatType(s, inputs)
	if err != nil {
		return nil, err
	}
	o := &op{spec: s, out: dt, wrt: make([]bool, len(inputs))}
	if len(s.shape) > 0 {
		o.out = gorgonia.TensorType{Dims: len(s.shape), Of: dt}
	}
	for i, n := range inputs {
		o.in = append(o.in, n.Type())
		o.wrt[i] = s.diff != nil && n.Dtype() == dt && !slices.Contains(s.frozen, i)
	}
	if dt == tensor.Float32 {
		o.exe = newExec(s, dt, s.run.f32)
	} else {
		o.exe = newExec(s, dt, s.run.f64)
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
	v, err := o.exe.do(in)
	return v, errors.Wrapf(err, "nodes: running %s", o.name)
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
	grads, err := o.diff(in, out, grad)
	return grads, errors.Wrapf(err, "nodes: differentiating %s", o.name)
}

// exec is the executor for element type F.
type exec[F kernels.Float] struct {
	k   kernel[F]
	dt  tensor.Dtype
	sh  tensor.Shape
	out *tensor.Dense
	in  []operand[F]
}

func newExec[F kernels.Float](s spec, dt tensor.Dtype, k kernel[F]) *exec[F] {
	return &exec[F]{k: k, dt: dt, sh: s.shape}
}

func (e *exec[F]) do(in []gorgonia.Value) (gorgonia.Value, error) {
	e.in = e.in[:0]
	for i, v := range in {
		x, err := operandOf[F](v)
		if err != nil {
			return nil, errors.Wrapf(err, "input %d", i)
		}
		e.in = append(e.in, x)
	}
	if len(e.sh) == 0 {
		var out [1]F
		err := e.k(out[:], e.in)
		return scalarValue(out[0]), err
	}
	out := e.buffer()
	return out, e.k(out.Data().([]F), e.in)
}

// buffer returns the result's memory.
func (e *exec[F]) buffer() *tensor.Dense {
	if e.out == nil {
		e.out = tensor.New(tensor.Of(e.dt), tensor.WithShape(e.sh...))
	}
	return e.out
}

func scalarValue[F kernels.Float](x F) gorgonia.Value {
	if x, ok := any(x).(float32); ok {
		return gorgonia.NewF32(x)
	}
	return gorgonia.NewF64(float64(x))
}

// operandOf returns the elements of a value, in row-major order.
func operandOf[F kernels.Float](v gorgonia.Value) (operand[F], error) {
	t, _ := v.(*tensor.Dense)
	switch x := v.Data().(type) {
	case []F:
		return operand[F]{data: rowMajor(t, x)}, nil
	case F:
		return operand[F]{data: []F{x}}, nil
	case []int:
		return operand[F]{ints: rowMajor(t, x)}, nil
	case int:
		return operand[F]{ints: []int{x}}, nil
	default:
		return operand[F]{}, errors.Errorf("holds %T", x)
	}
}

// rowMajor returns the elements of t in row-major order, where data is what t
// holds: the same, unless t is a view that leaves some out, or lies otherwise.
func rowMajor[E any](t *tensor.Dense, data []E) []E {
	if t == nil || !t.RequiresIterator() && !t.DataOrder().IsColMajor() {
		return data
	}
	shape, strides := t.Shape(), t.Strides()
	out := make([]E, 0, shape.TotalSize())
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == len(shape) {
			out = append(out, data[at])
			return
		}
		for i := range shape[axis] {
			walk(axis+1, at+i*strides[axis])
		}
	}
	walk(0, 0)
	return out
}

// optional returns the elements of operand k, nil if it is not there.
func optional[F kernels.Float](in []operand[F], k int, has bool) []F {
	if has {
		return in[k].data
	}
	return nil
}
