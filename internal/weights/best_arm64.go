//go:build !purego

package weights

// best is the kernels for this processor: every one of arm64 has their
// instructions.
var best = &tableNEON

// rounding is the kernels that round vectors: plain Go.
var rounding *roundingTable

// tiled is the kernels for products of several vectors: none.
var tiled *tileTable

var tableNEON = table{
	dotsBF16: dotsBF16NEON, dotsInt8: dotsInt8NEON, dotsInt4: dotsInt4NEON,
	unpackBF16: unpackBF16NEON, unpackInt8: unpackInt8NEON, unpackInt4: unpackInt4NEON,
}
