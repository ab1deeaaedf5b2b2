// Package peak runs the arithmetic that products of matrices consist of without
// their memory: multiply-adds of float32 in registers, independent of each
// other. Their rate is the most that products can reach on a core.
package peak

// Loop runs about n multiply-adds, in vectors of the instruction set that
// products of matrices use here, and returns their exact number. It returns 0
// where those have no assembly.
func Loop(n int) int {
	if best == nil {
		return 0
	}
	steps := max(1, n/best.each)
	best.loop(steps)
	return steps * best.each
}

// instructions is a loop with one instruction set: each step consists of the
// given number of multiply-adds.
type instructions struct {
	each int
	loop func(steps int)
}
