// Package vec is arithmetic on vectors: sums, exponentials and activations, and
// what one row of a layer needs of them in one pass. In float32, on an amd64
// processor with AVX2 and FMA or with AVX-512 and on every arm64 processor, it is
// assembly; in float64, with the build tag purego and elsewhere it is plain Go,
// computed in float64.
//
// The three instruction sets give the same results to the bit. Against the exact
// function of their float32 argument the errors in units in the last place are at
// most:
//
//	Exp                      1.1
//	Tanh                     2
//	Sigmoid, LogSigmoid      3
//	SiLU                     4
//	GELU                     8
//
// down to denormal results, where the last place is the smallest number. SiLU below
// −87 and GELU below −13 multiply x with a factor that is denormal itself; their
// error may be larger by |x| times the smallest number. Derivatives are sums that
// may cancel: their errors stay below 3e-7. Limits at ±∞ are the functions', and
// NaN gives NaN, except in Max, which passes over it.
//
// A vector that is written may be one that is read, but not overlap it otherwise;
// in Conv4Weights, Quads, QuadsWeights, DecayGrad and the steps of the sLSTM all
// vectors must be apart. All vectors of a call have one length; a shorter one is a
// panic, since it is a mistake in the caller.
package vec

//go:generate go -C _gen run . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg vec -table ../table.go -wiring ../table_amd64.go -arm64 ../kernels_arm64.s -arm64stubs ../stubs_arm64.go -arm64wiring ../table_arm64.go
