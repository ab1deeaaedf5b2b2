//go:build !purego && (amd64 || arm64)

package cores

// pause tells the processor that the goroutine waits: it spares power and what the
// core shares with others.
//
//go:noescape
func pause()
