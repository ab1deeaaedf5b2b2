//go:build !purego

package vec

// best is the kernels for this processor: every one of arm64 has their
// instructions.
var best = &tableNEON
