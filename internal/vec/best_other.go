//go:build (!amd64 && !arm64) || purego

package vec

// best is the kernels for this processor: plain Go.
var best *table

// prefetch does nothing: plain Go cannot ask for memory.
func prefetch(int, *float32) {}
