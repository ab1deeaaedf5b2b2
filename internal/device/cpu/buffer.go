package cpu

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

type element interface{ float32 | float64 | int | byte }

// vector is a Buffer: n elements that launches look up when they run.
type vector[E element] struct {
	data []E
	n    int
}

func of[E element](data []E) *vector[E] { return &vector[E]{data, len(data)} }

func (v *vector[E]) Dtype() ops.Dtype {
	var zero E
	switch any(zero).(type) {
	case float32:
		return ops.Float32
	case float64:
		return ops.Float64
	case byte:
		return ops.Byte
	}
	return ops.Int
}

func (v *vector[E]) Len() int { return v.n }

func (v *vector[E]) Slice(from, n int) device.Buffer { return of(v.data[from : from+n : from+n]) }

// get returns the elements, nil of an operand that is not there.
func (v *vector[E]) get() []E {
	if v == nil {
		return nil
	}
	return v.data
}

// Of returns a buffer in the memory of data, a []float32, []float64, []int or
// []byte.
func Of(data any) (device.Buffer, error) {
	switch x := data.(type) {
	case []float32:
		return of(x), nil
	case []float64:
		return of(x), nil
	case []int:
		return of(x), nil
	case []byte:
		return of(x), nil
	}
	return nil, errors.Errorf("cpu: %T are no elements of a buffer; it takes float32, float64, int or byte", data)
}

// Elements returns the elements of a buffer of this device, as a []float32,
// []float64, []int or []byte in the buffer's memory.
func Elements(b device.Buffer) any {
	switch v := b.(type) {
	case *vector[float32]:
		return v.data
	case *vector[float64]:
		return v.data
	case *vector[byte]:
		return v.data
	}
	return b.(*vector[int]).data
}

// Input returns a buffer for n elements that has no memory until Rebind sets
// it.
func Input(dt ops.Dtype, n int) device.Buffer {
	switch dt {
	case ops.Float32:
		return &vector[float32]{n: n}
	case ops.Float64:
		return &vector[float64]{n: n}
	case ops.Byte:
		return &vector[byte]{n: n}
	}
	return &vector[int]{n: n}
}

// Rebind sets the memory of buffer b to that of data, which must have the same
// number of elements of the same type, for later launches. Slices of b are not
// affected.
func Rebind(b device.Buffer, data any) error {
	ok := false
	switch v := b.(type) {
	case *vector[float32]:
		ok = v.rebind(data)
	case *vector[float64]:
		ok = v.rebind(data)
	case *vector[int]:
		ok = v.rebind(data)
	case *vector[byte]:
		ok = v.rebind(data)
	}
	if !ok {
		return errors.Errorf("cpu: a buffer of %d elements of %v cannot lie in %T", b.Len(), b.Dtype(), data)
	}
	return nil
}

func (v *vector[E]) rebind(data any) bool {
	x, ok := data.([]E)
	if ok = ok && len(x) == v.n; ok {
		v.data = x
	}
	return ok
}

// operands hands out the buffers of an operation, one after the other.
type operands struct{ in, out []device.Buffer }

func take[E element](bufs *[]device.Buffer, has bool) *vector[E] {
	if !has {
		return nil
	}
	v := (*bufs)[0].(*vector[E])
	*bufs = (*bufs)[1:]
	return v
}

// in and out return the next input and output.
func in[F kernels.Float](a *operands) *vector[F]  { return take[F](&a.in, true) }
func out[F kernels.Float](a *operands) *vector[F] { return take[F](&a.out, true) }

// inIf and outIf return the next one if it is there, else nil.
func inIf[F kernels.Float](a *operands, has bool) *vector[F]  { return take[F](&a.in, has) }
func outIf[F kernels.Float](a *operands, has bool) *vector[F] { return take[F](&a.out, has) }

// ints returns the next input, of integers; nil if it is not there.
func ints(a *operands, has bool) *vector[int] { return take[int](&a.in, has) }

// bytes returns the next input, of bytes; nil if it is not there.
func bytes(a *operands, has bool) *vector[byte] { return take[byte](&a.in, has) }

// ins returns the next n inputs, outs all outputs that are left.
func ins[F kernels.Float](a *operands, n int) (vs []*vector[F]) {
	for range n {
		vs = append(vs, in[F](a))
	}
	return vs
}

func outs[F kernels.Float](a *operands) (vs []*vector[F]) {
	for len(a.out) > 0 {
		vs = append(vs, out[F](a))
	}
	return vs
}

// dataOf returns the elements of the operands, in list.
func dataOf[F kernels.Float](vs []*vector[F], list [][]F) [][]F {
	for k, v := range vs {
		list[k] = v.data
	}
	return list
}

// some returns an input for each that is there, nil for the others.
func some[F kernels.Float](a *operands, has []bool) (vs []*vector[F]) {
	for _, h := range has {
		vs = append(vs, inIf[F](a, h))
	}
	return vs
}
