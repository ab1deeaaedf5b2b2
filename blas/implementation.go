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

// Kernels returns what computes products of float32 matrices: AVX-512, AVX2, or
// portable Go.
func (bl BLAS) Kernels() string {
	if bl.single == nil {
		return "portable Go"
	}
	return bl.single.name
}

// Sgemm computes C = alpha·op(A)·op(B) + beta·C, where op(A) is m×k and op(B) k×n.
func (bl BLAS) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	if bl.single == nil {
		if bl.serial {
			gonumSerial(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		} else {
			bl.Implementation.Sgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		}
		return
	}
	p := product[float32]{kernels: bl.single, m: m, n: n, k: k, alpha: alpha, beta: beta, c: c, ldc: ldc}
	p.a.data, p.a.row, p.a.col = a, lda, 1
	p.b.data, p.b.row, p.b.col = b, ldb, 1
	p.gemm(tA, tB, bl.serial)
}

// Dgemm computes C = alpha·op(A)·op(B) + beta·C, where op(A) is m×k and op(B) k×n.
func (bl BLAS) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	if bl.double == nil {
		if bl.serial {
			gonumSerial(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		} else {
			bl.Implementation.Dgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		}
		return
	}
	p := product[float64]{kernels: bl.double, m: m, n: n, k: k, alpha: alpha, beta: beta, c: c, ldc: ldc}
	p.a.data, p.a.row, p.a.col = a, lda, 1
	p.b.data, p.b.row, p.b.col = b, ldb, 1
	p.gemm(tA, tB, bl.serial)
}

// Sgemv computes y = alpha·op(A)·x + beta·y, where A, not op(A), is m×n.
func (bl BLAS) Sgemv(tA blas.Transpose, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	if bl.single == nil || !canGemv(tA, incX, incY) {
		bl.Implementation.Sgemv(tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	gemv(bl.single, tA, m, n, alpha, a, lda, x, incX, beta, y, incY, bl.serial)
}

// Dgemv computes y = alpha·op(A)·x + beta·y, where A, not op(A), is m×n.
func (bl BLAS) Dgemv(tA blas.Transpose, m, n int, alpha float64, a []float64, lda int, x []float64, incX int, beta float64, y []float64, incY int) {
	if bl.double == nil || !canGemv(tA, incX, incY) {
		bl.Implementation.Dgemv(tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	gemv(bl.double, tA, m, n, alpha, a, lda, x, incX, beta, y, incY, bl.serial)
}
