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

// Sum computes y = Σ xs, for one x or more.
func Sum[F Float](xs [][]F, y []F) {
	ParallelRows(len(y), 1, func(lo, hi int) {
		to := y[lo:hi]
		copy(to, xs[0][lo:hi])
		for _, x := range xs[1:] {
			for k, v := range x[lo:hi] {
				to[k] += v
			}
		}
	})
}
