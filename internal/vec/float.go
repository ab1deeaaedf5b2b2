package vec

import "unsafe"

// Float is an element type.
type Float interface{ float32 | float64 }

// fast reports whether there is assembly for the type.
func fast[F Float]() bool {
	var zero F
	return unsafe.Sizeof(zero) == 4 && best != nil
}

// first returns the first n elements of x, whose length must be at least n:
// capacity beyond the length does not count.
func first[F Float](x []F, n int) []F { return x[:n:len(x)] }

// ptr is the start of a vector of at least n float32.
func ptr[F Float](x []F, n int) *float32 {
	return (*float32)(unsafe.Pointer(unsafe.SliceData(first(x, n))))
}
