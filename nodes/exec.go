package nodes

import (
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// executor computes the value of an operation.
type executor interface {
	do(in []gorgonia.Value) (gorgonia.Value, error)
	// buffer returns the memory of piece k of a packed result, with k = 0 that of
	// any other tensor; nil before the first run.
	buffer(k int) *tensor.Dense
	// share gives the buffers places in an arena, −1 for none.
	share(a *arena, offset []int)
	// writeTo makes t the memory of piece k.
	writeTo(k int, t *tensor.Dense)
}

func newExecutor(s spec, dt tensor.Dtype) executor {
	switch {
	case s.view != nil:
		return s.view
	case dt == tensor.Float32:
		return newExec(s, dt, s.run.f32)
	}
	return newExec(s, dt, s.run.f64)
}

// exec runs a kernel for element type F and owns the memory of its result.
type exec[F kernels.Float] struct {
	k      kernel[F]
	dt     tensor.Dtype
	packed bool
	shapes layout // of the buffers
	arena  *arena // that buffers share with those of others, nil for none; see ShareMemory
	offset []int  // of each buffer in the arena, −1 for memory of its own
	bufs   []*tensor.Dense
	out    [][]F // the elements of bufs, or the one of a scalar
	in     []operand[F]
}

func newExec[F kernels.Float](s spec, dt tensor.Dtype, k kernel[F]) *exec[F] {
	return &exec[F]{k: k, dt: dt, packed: s.parts != nil, shapes: s.buffers()}
}

// buffers returns the shapes of the tensors that the operation writes.
func (s spec) buffers() layout {
	switch {
	case s.view != nil:
		return nil
	case s.parts != nil:
		return s.parts
	case len(s.shape) > 0:
		return layout{s.shape}
	}
	return nil
}

func (e *exec[F]) buffer(k int) *tensor.Dense {
	if k < len(e.bufs) {
		return e.bufs[k]
	}
	return nil
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
	if e.out == nil {
		e.allocate()
	}
	err := e.k(e.out, e.in)
	switch {
	case e.packed:
		return scalarValue(F(0)), err
	case len(e.shapes) == 0:
		return scalarValue(e.out[0][0]), err
	}
	return e.bufs[0], err
}

func (e *exec[F]) share(a *arena, offset []int) {
	e.arena, e.offset, e.bufs, e.out = a, offset, nil, nil
}

// allocate makes the buffers, which stay from run to run.
func (e *exec[F]) allocate() {
	for k, sh := range e.shapes {
		opts := []tensor.ConsOpt{tensor.Of(e.dt), tensor.WithShape(sh...)}
		if e.arena != nil && e.offset[k] >= 0 {
			lo, hi := e.offset[k], e.offset[k]+sh.TotalSize()
			opts = append(opts, tensor.WithBacking(space[F](e.arena)[lo:hi:hi]))
		}
		t := tensor.New(opts...)
		e.bufs = append(e.bufs, t)
		e.out = append(e.out, t.Data().([]F))
	}
	if len(e.shapes) == 0 {
		e.out = [][]F{make([]F, 1)}
	}
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
