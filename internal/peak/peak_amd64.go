//go:build !purego

package peak

import "github.com/gorgonia-xlstm/xlstm/internal/processor"

// sums is the number of registers that a step adds to: enough for two
// multiply-adds a cycle that take four to five cycles each.
const sums = 12

var best = processor.Best(&instructions{sums * 16, loopAVX512}, &instructions{sums * 8, loopAVX2})

//go:noescape
func loopAVX512(steps int)

//go:noescape
func loopAVX2(steps int)
