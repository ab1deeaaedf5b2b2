package optim

import (
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// set does x[i] = y[j].
func set(x floats.Slice, i int, y floats.Slice, j int) {
	if x.F32 != nil {
		x.F32[i] = y.F32[j]
	} else {
		x.F64[i] = y.F64[j]
	}
}

// dense returns a tensor of the given shape over x, without copying.
func dense(x floats.Slice, shape tensor.Shape) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x.Data()))
}

// view is the memory of a value with its shape and strides.
type view struct {
	raw            floats.Slice
	shape, strides []int
}

// viewOf finds the numbers of a value. Callers add to its errors which value it
// is.
func viewOf(v gorgonia.Value) (view, error) {
	switch v := v.(type) {
	case *gorgonia.F32:
		return view{raw: floats.Slice{F32: unsafe.Slice((*float32)(v), 1)}}, nil
	case *gorgonia.F64:
		return view{raw: floats.Slice{F64: unsafe.Slice((*float64)(v), 1)}}, nil
	case *tensor.Dense:
		if v == nil {
			return view{}, errors.New("the tensor is nil")
		}
		return viewOfDense(v)
	}
	return view{}, errors.Errorf("type %T is not a float32 or float64 tensor or scalar", v)
}

func viewOfDense(d *tensor.Dense) (view, error) {
	if !d.IsNativelyAccessible() {
		return view{}, errors.New("the tensor is in memory that Go cannot reach")
	}
	v := view{shape: d.Shape(), strides: d.Strides()}
	switch d.Dtype() {
	case tensor.Float32:
		v.raw.F32 = d.Float32s()
	case tensor.Float64:
		v.raw.F64 = d.Float64s()
	default:
		return view{}, errors.Errorf("a tensor of %v is not one of float32 or float64", d.Dtype())
	}
	if v.size() == 0 {
		return view{}, errors.Errorf("shape %v has no elements", d.Shape())
	}
	if len(v.strides) != len(v.shape) || v.last() >= v.raw.Len() {
		return view{}, errors.Errorf("%d numbers in memory are too few for shape %v with strides %v",
			v.raw.Len(), v.shape, v.strides)
	}
	return v, nil
}

// size returns the number of elements.
func (v view) size() int {
	n := 1
	for _, d := range v.shape {
		n *= d
	}
	return n
}

// last returns the offset of the last element.
func (v view) last() int {
	at := 0
	for i, d := range v.shape {
		at += (d - 1) * v.strides[i]
	}
	return at
}

// rowMajor reports whether the elements are contiguous in the order of their
// indices. It uses only the strides, because the flags of a tensor also depend
// on earlier operations.
func (v view) rowMajor() bool {
	n := 1
	for i := len(v.shape) - 1; i >= 0; i-- {
		if v.shape[i] != 1 && v.strides[i] != n {
			return false
		}
		n *= v.shape[i]
	}
	return true
}

// flat returns the elements in row-major order: the memory itself if it is in
// that order, otherwise a copy.
func (v view) flat() floats.Slice {
	n := v.size()
	if v.rowMajor() {
		return v.raw.Cut(0, n)
	}
	out, i := v.raw.Like(n), 0
	walk(v.shape, v.strides, 0, func(at int) {
		set(out, i, v.raw, at)
		i++
	})
	return out
}

// copied returns the elements in row-major order, always in new memory.
func (v view) copied() floats.Slice {
	flat := v.flat()
	out := flat.Like(flat.Len())
	out.Copy(flat)
	return out
}

// zero sets every element to zero, but not the memory between elements.
func (v view) zero() {
	if v.rowMajor() {
		x := v.raw.Cut(0, v.size())
		clear(x.F32)
		clear(x.F64)
		return
	}
	none := v.raw.Like(1)
	walk(v.shape, v.strides, 0, func(at int) { set(v.raw, at, none, 0) })
}

// walk visits the offsets of all elements in the order of their indices.
func walk(shape, strides []int, at int, visit func(at int)) {
	if len(shape) == 0 {
		visit(at)
		return
	}
	for i := range shape[0] {
		walk(shape[1:], strides[1:], at+i*strides[0], visit)
	}
}

// sameExtents reports whether two shapes have the same axes apart from those of
// length 1. Gorgonia drops and adds such axes in derivatives, and they do not
// change the order of elements.
func sameExtents(a, b []int) bool {
	for {
		for len(a) > 0 && a[0] == 1 {
			a = a[1:]
		}
		for len(b) > 0 && b[0] == 1 {
			b = b[1:]
		}
		if len(a) == 0 || len(b) == 0 {
			return len(a) == len(b)
		}
		if a[0] != b[0] {
			return false
		}
		a, b = a[1:], b[1:]
	}
}
