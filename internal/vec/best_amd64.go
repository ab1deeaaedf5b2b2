//go:build !purego

package vec

import "golang.org/x/sys/cpu"

func hasAVX2() bool   { return cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasBMI2 }
func hasAVX512() bool { return cpu.X86.HasAVX512F && hasAVX2() }

// best is the kernels for this processor, nil for plain Go.
var best = choose()

func choose() *table {
	switch {
	case hasAVX512():
		return &tableAVX512
	case hasAVX2():
		return &tableAVX2
	}
	return nil
}
