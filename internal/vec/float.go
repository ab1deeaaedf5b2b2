package vec

import "unsafe"

// Float is an element type.
type Float interface{ float32 | float64 }

// fast says whether there is assembly for the type.
func fast[F Float]() bool {
	var zero F
	return unsafe.Sizeof(zero) == 4 && best != nil
}

// first is the first n elements of x, which must have as many: memory behind its
// end does not do.
func first[F Float](x []F, n int) []F { return x[:n:len(x)] }

// ptr is the start of a vector of at least n float32.
func ptr[F Float](x []F, n int) *float32 {
	return (*float32)(unsafe.Pointer(unsafe.SliceData(first(x, n))))
}
