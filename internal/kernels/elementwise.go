package kernels

// Mul computes y = a⊙b.
func Mul[F Float](a, b, y []F) {
	for k := range y {
		y[k] = a[k] * b[k]
	}
}

// Add computes y = a + b.
func Add[F Float](a, b, y []F) {
	ParallelRows(len(y), 1, func(lo, hi int) {
		for k := lo; k < hi; k++ {
			y[k] = a[k] + b[k]
		}
	})
}
