//go:build !purego

package peak

// A step adds to 16 registers: enough for four multiply-adds a cycle that take
// four cycles each.
var best = &instructions{16 * 4, loopNEON}

//go:noescape
func loopNEON(steps int)
