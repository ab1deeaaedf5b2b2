// Package vec is arithmetic on vectors: sums, exponentials and activations, and
// what one row of a layer needs of them in one pass. In float32, on an amd64
// processor with AVX2 and FMA or with AVX-512, it is assembly; in float64, with the
// build tag purego and elsewhere it is plain Go, computed in float64.
//
// The two instruction sets give the same results to the bit. Against the exact
// function of their float32 argument the errors in units in the last place are at
// most:
//
//	Exp                      1
//	Sigmoid, SiLU, Tanh      3
//	LogSigmoid               3
//	GELU                     4
//
// down to denormal results, where the last place is the smallest number.
// Derivatives are sums that may cancel; their errors stay below 4e-7 of their
// greatest value. Limits at ±∞ are the functions', and NaN gives NaN.
//
// Vectors that are written may be vectors that are read, but may not overlap them
// otherwise. All vectors of a call have the length of the first; a shorter one is a
// panic, since it is a mistake in the caller.
package vec

//go:generate go -C _gen run . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg vec -table ../table.go -wiring ../table_amd64.go
