package blas

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// BLAS implements gonum's blas.Float32, Float64, Complex64 and Complex128.
// Implementation returns one; the zero BLAS is gonum's implementation.
type BLAS struct {
	gonum.Implementation
	single *kernels[float32] // nil: none for this machine
	double *kernels[float64]
	serial bool // starts no goroutines
}

// Implementation returns the fastest BLAS that this machine can run.
func Implementation() BLAS {
	return BLAS{single: bestSingle(), double: bestDouble()}
}

// Kernels returns the implementation of float32 matrix products: AVX-512, AVX2,
// NEON or portable Go.
func (bl BLAS) Kernels() string {
	if bl.single == nil {
		return "portable Go"
	}
	return bl.single.name
}

// kernelsOf returns bl's kernels for elements of type T, nil for none.
func kernelsOf[T Float](bl BLAS) *kernels[T] {
	if ks, ok := any(bl.single).(*kernels[T]); ok {
		return ks
	}
	return any(bl.double).(*kernels[T])
}

// Gemm calls Sgemm or Dgemm, depending on the element type. It computes C =
// alpha·op(A)·op(B) + beta·C, where op(A) is m×k and op(B) k×n.
func Gemm[T Float](bl BLAS, tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	ks := kernelsOf[T](bl)
	switch {
	case ks == nil && bl.serial:
		gonumSerial(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
	case ks == nil:
		gonumGemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
	default:
		p := product[T]{kernels: ks, m: m, n: n, k: k, alpha: alpha, beta: beta, c: c, ldc: ldc}
		p.a.data, p.a.row, p.a.col = a, lda, 1
		p.b.data, p.b.row, p.b.col = b, ldb, 1
		p.gemm(tA, tB, bl.serial)
	}
}

// Gemv calls Sgemv or Dgemv, depending on the element type. It computes y =
// alpha·op(A)·x + beta·y, where A, not op(A), is m×n.
func Gemv[T Float](bl BLAS, tA blas.Transpose, m, n int, alpha T, a []T, lda int, x []T, incX int, beta T, y []T, incY int) {
	ks := kernelsOf[T](bl)
	if ks == nil || !canGemv(tA, incX, incY) {
		gonumGemv(tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	gemv(ks, tA, m, n, alpha, a, lda, x, incX, beta, y, incY, bl.serial)
}

// Sgemm computes C = alpha·op(A)·op(B) + beta·C, where op(A) is m×k and op(B) k×n.
func (bl BLAS) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	Gemm(bl, tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// Dgemm computes C = alpha·op(A)·op(B) + beta·C, where op(A) is m×k and op(B) k×n.
func (bl BLAS) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	Gemm(bl, tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// Sgemv computes y = alpha·op(A)·x + beta·y, where A, not op(A), is m×n.
func (bl BLAS) Sgemv(tA blas.Transpose, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	Gemv(bl, tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
}

// Dgemv computes y = alpha·op(A)·x + beta·y, where A, not op(A), is m×n.
func (bl BLAS) Dgemv(tA blas.Transpose, m, n int, alpha float64, a []float64, lda int, x []float64, incX int, beta float64, y []float64, incY int) {
	Gemv(bl, tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
}
