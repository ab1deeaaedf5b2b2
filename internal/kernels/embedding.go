package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// Embedding copies row ids[r] of w [V,D] to row r of y.
func Embedding[F Float](d int, ids []int, w, y []F) {
	ParallelRows(len(ids), d, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			copy(y[r*d:(r+1)*d], w[ids[r]*d:][:d])
		}
	})
}

// EmbeddingGrad adds the rows of dy to the rows ids[r] of dw; dw is
// overwritten.
func EmbeddingGrad[F Float](d int, ids []int, dy, dw []F) {
	clear(dw)
	parallelColumns(len(ids), d, func(lo, hi int) {
		for r, id := range ids {
			vec.Axpy(dw[id*d+lo:id*d+hi], 1, dy[r*d+lo:r*d+hi])
		}
	})
}
