package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// Mul computes y = a⊙b.
func Mul[F Float](a, b, y []F) {
	ParallelRows(len(y), 1, func(lo, hi int) { vec.Mul(y[lo:hi], a[lo:hi], b[lo:hi]) })
}

// Add computes y = a + b.
func Add[F Float](a, b, y []F) {
	if alone(len(y)) {
		vec.Add(y, a, b)
		return
	}
	ParallelRows(len(y), 1, func(lo, hi int) { vec.Add(y[lo:hi], a[lo:hi], b[lo:hi]) })
}

// Sum computes y = Σ xs, for two or more xs, from first to last.
func Sum[F Float](xs [][]F, y []F) {
	ParallelRows(len(y), 1, func(lo, hi int) {
		sum := xs[0][lo:hi]
		for _, x := range xs[1:] {
			vec.Add(y[lo:hi], sum, x[lo:hi])
			sum = y[lo:hi]
		}
	})
}
