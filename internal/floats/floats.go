// Package floats handles slices of float32 and float64 of which only the
// running program knows the element type, such as the elements of a tensor.
package floats

import "github.com/gorgonia-xlstm/xlstm/internal/ops"

// Float is an element type.
type Float interface{ float32 | float64 }

// Slice is a []float32 or a []float64: at most one of the two is not nil.
type Slice struct {
	F32 []float32
	F64 []float64
}

// Of returns data, a []float32, []float64, float32 or float64, as a Slice, and
// an empty Slice for any other type. A slice shares its memory with the result.
func Of(data any) Slice {
	switch x := data.(type) {
	case []float32:
		return Slice{F32: x}
	case []float64:
		return Slice{F64: x}
	case float32:
		return Slice{F32: []float32{x}}
	case float64:
		return Slice{F64: []float64{x}}
	}
	return Slice{}
}

// Make returns n zeros of type dt, float32 or float64.
func Make(dt ops.Dtype, n int) Slice {
	if dt == ops.Float64 {
		return Slice{F64: make([]float64, n)}
	}
	return Slice{F32: make([]float32, n)}
}

// Dtype returns the type of the elements.
func (x Slice) Dtype() ops.Dtype {
	if x.F32 != nil {
		return ops.Float32
	}
	return ops.Float64
}

// Like returns n zeros of the type of x.
func (x Slice) Like(n int) Slice { return Make(x.Dtype(), n) }

// Len returns the number of elements.
func (x Slice) Len() int { return len(x.F32) + len(x.F64) }

// Data returns x as a []float32 or []float64.
func (x Slice) Data() any {
	if x.F32 != nil {
		return x.F32
	}
	return x.F64
}

// Cut returns x[lo:hi]; of an empty Slice it returns an empty one.
func (x Slice) Cut(lo, hi int) Slice {
	switch {
	case x.F32 != nil:
		return Slice{F32: x.F32[lo:hi]}
	case x.F64 != nil:
		return Slice{F64: x.F64[lo:hi]}
	}
	return Slice{}
}

// At returns x[i].
func (x Slice) At(i int) float64 {
	if x.F32 != nil {
		return float64(x.F32[i])
	}
	return x.F64[i]
}

// All reports whether ok is true of every element.
func (x Slice) All(ok func(float64) bool) bool {
	for i := range x.Len() {
		if !ok(x.At(i)) {
			return false
		}
	}
	return true
}

// Read copies the elements to dst, which must be as long.
func (x Slice) Read(dst []float64) {
	for i, v := range x.F32 {
		dst[i] = float64(v)
	}
	copy(dst, x.F64)
}

// Float64s returns a copy of the elements.
func (x Slice) Float64s() []float64 {
	out := make([]float64, x.Len())
	x.Read(out)
	return out
}

// Write sets the elements to src, which must be as long, rounded to the type of
// x.
func (x Slice) Write(src []float64) {
	for i := range x.F32 {
		x.F32[i] = float32(src[i])
	}
	copy(x.F64, src)
}

// Copy copies y to x. It reports whether both have the same type and length; if
// not, it copies nothing.
func (x Slice) Copy(y Slice) bool {
	if len(x.F32) != len(y.F32) || len(x.F64) != len(y.F64) {
		return false
	}
	copy(x.F32, y.F32)
	copy(x.F64, y.F64)
	return true
}

// Move moves every element of x towards that of y, which has the same type and
// length, by a share of the distance.
func (x Slice) Move(y Slice, share float64) {
	move(x.F32, y.F32, float32(share))
	move(x.F64, y.F64, share)
}

func move[F Float](x, y []F, share F) {
	for i, v := range y {
		x[i] += (v - x[i]) * share
	}
}

// Blend sets every element of x to keep times itself plus take times that of y,
// which has the same type and length. If keep is 0, the elements of x are not
// read.
func (x Slice) Blend(keep float64, y Slice, take float64) {
	blend(x.F32, float32(keep), y.F32, float32(take))
	blend(x.F64, keep, y.F64, take)
}

func blend[F Float](x []F, keep F, y []F, take F) {
	for i, v := range y {
		if keep == 0 {
			x[i] = take * v
		} else {
			x[i] = keep*x[i] + take*v
		}
	}
}
