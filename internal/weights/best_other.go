//go:build (!amd64 && !arm64) || purego

package weights

// best is the kernels for this processor: plain Go.
var best *table

// rounding is the kernels that round vectors: plain Go.
var rounding *roundingTable

// tiled is the kernels for products of several vectors: none.
var tiled *tileTable
