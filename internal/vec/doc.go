// Package vec provides arithmetic on vectors: sums, exponentials and
// activations, and combinations of them that process one row of a layer in one
// pass. In float32 the functions are assembly on amd64 processors with AVX2 and
// FMA or with AVX-512, and on all arm64 processors. In float64, with the build
// tag purego and on other processors they are plain Go that computes in
// float64.
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
// down to denormal results, where the last place is the smallest number. SiLU
// below −87 and GELU below −13 multiply x by a factor that is itself denormal;
// their error may be larger by |x| times the smallest number. Derivatives are
// sums that may cancel; their errors are below 3e-7. Limits at ±∞ are exact,
// and NaN gives NaN, except in Max, which ignores it.
//
// An output vector may be the same as an input vector, but must not overlap it
// otherwise; in Conv4Weights, Quads and QuadsWeights, also of several rows, DecayGrad
// and the steps of the sLSTM and of the LSTM no vectors may overlap. All vectors of
// a call have the same length;
// a shorter one causes a panic, because it is an error in the caller.
package vec

//go:generate go -C _gen run . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg vec -table ../table.go -wiring ../table_amd64.go -arm64 ../kernels_arm64.s -arm64stubs ../stubs_arm64.go -arm64wiring ../table_arm64.go
