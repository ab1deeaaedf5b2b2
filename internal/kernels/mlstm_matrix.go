package kernels

import (
	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// matrix is a row-major matrix whose rows are ld elements apart.
type matrix[F Float] struct {
	data []F
	ld   int
}

func (x matrix[F]) row(i, n int) []F { return x.data[i*x.ld:][:n] }

// two returns rows i and i+1.
func (x matrix[F]) two(i, n int) [2][]F { return [2][]F{x.row(i, n), x.row(i+1, n)} }

// rowsAhead is how many rows ahead of the one at hand rows are asked for where they
// are as far apart as those of a head: a few dozen lines of the memory at a time.
const rowsAhead = 8

// prefetch asks for row i of so many, if there is one.
func (x matrix[F]) prefetch(i, rows, n int) {
	if i < rows {
		vec.Prefetch(x.row(i, n))
	}
}

// from returns the matrix without its first i rows and j columns.
func (x matrix[F]) from(i, j int) matrix[F] { return matrix[F]{x.data[i*x.ld+j:], x.ld} }

// copyRows copies m rows of n elements.
func copyRows[F Float](dst, src matrix[F], m, n int) {
	for i := range m {
		copy(dst.row(i, n), src.row(i, n))
	}
}

// scaleRows sets the rows of dst, n wide, to those of src times the factors.
func scaleRows[F Float](dst matrix[F], factors []F, src matrix[F], n int) {
	for i, x := range factors {
		vec.Scale(dst.row(i, n), x, src.row(i, n))
	}
}

// multiply computes a product of such matrices on one core: the cores share sequences
// and heads, not the work for one of them.
func multiply[F Float](transA, transB bool, m, n, k int, alpha F, a, b matrix[F], beta F, c matrix[F]) {
	serialGemm(transA, transB, m, n, k, alpha, a.data, a.ld, b.data, b.ld, beta, c.data, c.ld)
}

// multiplyAhead is multiply, during which k rows of each of other matrices are fetched.
func multiplyAhead[F Float](transA, transB bool, m, n, k int, alpha F, a, b matrix[F], beta F, c matrix[F], ahead []blas.Ahead[F]) {
	blas.GemmAhead(serial, trans(transA), trans(transB), m, n, k, alpha, a.data, a.ld, b.data, b.ld, beta, c.data, c.ld, ahead)
}

// apply computes y = alpha·op(A)·x + beta·y for an m×n A.
func apply[F Float](transA bool, m, n int, alpha F, a matrix[F], x []F, beta F, y []F) {
	blas.Gemv(serial, trans(transA), m, n, alpha, a.data, a.ld, x, 1, beta, y, 1)
}

// addOuter computes C += x·yᵀ for an m×n C.
func addOuter[F Float](m, n int, x, y []F, c matrix[F]) {
	multiply(false, false, m, n, 1, 1, matrix[F]{x, 1}, matrix[F]{y, n}, 1, c)
}

// clearAbove clears the elements of row i of a lower triangular matrix that products
// read beyond the diagonal.
func clearAbove[F Float](a matrix[F], i, l int) {
	clear(a.data[i*a.ld:][i+1 : min(i+1+blas.LowerAhead, l)])
}

// lowerOf computes the lower triangle of C = alpha·A·Bᵀ for l×k A and B. Above
// the diagonal C is undefined.
func lowerOf[F Float](l, k int, alpha F, a, b, c matrix[F]) {
	blas.LowerOf(serial, l, k, alpha, a.data, a.ld, b.data, b.ld, c.data, c.ld)
}

// lowerTimes computes C = alpha·op(A)·B + beta·C for a lower triangular A and an l×n B.
func lowerTimes[F Float](transA bool, l, n int, alpha F, a, b matrix[F], beta F, c matrix[F]) {
	blas.LowerTimes(serial, trans(transA), l, n, alpha, a.data, a.ld, b.data, b.ld, beta, c.data, c.ld)
}

// arena hands out parts of a piece of scratch space. Before claim it only counts, so
// that everything is laid out twice: to count the space, and to use it.
type arena[F Float] struct {
	space []F
	used  int
}

// claim takes the counted scratch space, which must be given back.
func (a *arena[F]) claim() (lent *[]F) {
	a.space, lent = scratch[F](a.used)
	a.used = 0
	return lent
}

// take returns n elements that begin at a cache line.
func (a *arena[F]) take(n int) []F {
	const line = 16
	from := a.used
	a.used += (n + line - 1) / line * line
	if a.space == nil {
		return nil
	}
	return a.space[from : from+n : from+n]
}

func (a *arena[F]) matrix(m, n int) matrix[F] { return matrix[F]{a.take(m * n), n} }
