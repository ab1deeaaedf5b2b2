package optim

import (
	"unsafe"

	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// float is the element type of a parameter.
type float interface{ float32 | float64 }

// numbers is a slice of float32s or of float64s: at most one of the two slices
// is not nil.
type numbers struct {
	f32 []float32
	f64 []float64
}

// like returns n zeros of the type of x.
func (x numbers) like(n int) numbers {
	if x.f32 != nil {
		return numbers{f32: make([]float32, n)}
	}
	return numbers{f64: make([]float64, n)}
}

func (x numbers) len() int { return len(x.f32) + len(x.f64) }

func (x numbers) dtype() tensor.Dtype {
	if x.f32 != nil {
		return tensor.Float32
	}
	return tensor.Float64
}

// slice returns x[lo:hi]; if x has no numbers, neither has the result.
func (x numbers) slice(lo, hi int) numbers {
	switch {
	case x.f32 != nil:
		return numbers{f32: x.f32[lo:hi]}
	case x.f64 != nil:
		return numbers{f64: x.f64[lo:hi]}
	}
	return numbers{}
}

// set does x[i] = y[j].
func (x numbers) set(i int, y numbers, j int) {
	if x.f32 != nil {
		x.f32[i] = y.f32[j]
	} else {
		x.f64[i] = y.f64[j]
	}
}

// dense returns a tensor of the given shape over x, without copying.
func (x numbers) dense(shape tensor.Shape) *tensor.Dense {
	if x.f32 != nil {
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x.f32))
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x.f64))
}

// view is the memory of a value with its shape and strides.
type view struct {
	raw            numbers
	shape, strides []int
}

// viewOf finds the numbers of a value. Callers add to its errors which value it
// is.
func viewOf(v gorgonia.Value) (view, error) {
	switch v := v.(type) {
	case *gorgonia.F32:
		return view{raw: numbers{f32: unsafe.Slice((*float32)(v), 1)}}, nil
	case *gorgonia.F64:
		return view{raw: numbers{f64: unsafe.Slice((*float64)(v), 1)}}, nil
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
		v.raw.f32 = d.Float32s()
	case tensor.Float64:
		v.raw.f64 = d.Float64s()
	default:
		return view{}, errors.Errorf("a tensor of %v is not one of float32 or float64", d.Dtype())
	}
	if v.size() == 0 {
		return view{}, errors.Errorf("shape %v has no elements", d.Shape())
	}
	if len(v.strides) != len(v.shape) || v.last() >= v.raw.len() {
		return view{}, errors.Errorf("%d numbers in memory are too few for shape %v with strides %v",
			v.raw.len(), v.shape, v.strides)
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
func (v view) flat() numbers {
	n := v.size()
	if v.rowMajor() {
		return v.raw.slice(0, n)
	}
	out, i := v.raw.like(n), 0
	walk(v.shape, v.strides, 0, func(at int) {
		out.set(i, v.raw, at)
		i++
	})
	return out
}

// copied returns the elements in row-major order, always in new memory.
func (v view) copied() numbers {
	flat := v.flat()
	out := flat.like(flat.len())
	copy(out.f32, flat.f32)
	copy(out.f64, flat.f64)
	return out
}

// zero sets every element to zero, but not the memory between elements.
func (v view) zero() {
	if v.rowMajor() {
		x := v.raw.slice(0, v.size())
		clear(x.f32)
		clear(x.f64)
		return
	}
	none := v.raw.like(1)
	walk(v.shape, v.strides, 0, func(at int) { v.raw.set(at, none, 0) })
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
