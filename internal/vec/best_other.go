//go:build (!amd64 && !arm64) || purego

package vec

// best is the kernels for this processor: plain Go.
var best *table
