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

// EmbeddedLinear computes y = x·Wᵀ for the rows ids[r] of e [V,In] as x, by mapping
// all rows of e once: w [Out,In], y [len(ids),Out].
func EmbeddedLinear[F Float](v, in, out int, ids []int, e, w, y []F) {
	table, lent := scratch[F](v * out)
	defer giveBack(lent)
	Linear(v, in, out, e, in, w, in, nil, table, false)
	Embedding(out, ids, table, y)
}

// EmbeddedLinearGrad computes the gradients of EmbeddedLinear from dy, of which it
// adds up the rows of each id before it multiplies them.
func EmbeddedLinearGrad[F Float](v, in, out int, ids []int, e, w, dy, de, dw []F) {
	sums, lent := scratch[F](v * out)
	defer giveBack(lent)
	EmbeddingGrad(out, ids, dy, sums)
	LinearGradX(v, in, out, sums, w, in, de, in, false)
	LinearGradW(v, in, out, sums, e, in, dw, in)
}
