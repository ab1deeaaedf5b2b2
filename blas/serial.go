package blas

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// Serial returns a BLAS that starts no goroutines, for callers that are
// parallel themselves. The results are the same bits as those of bl, except
// with gonum's own implementation.
func (bl BLAS) Serial() BLAS {
	bl.serial = true
	return bl
}

// gonum cuts products of four blocks of 64×64 and more into pieces; it takes
// three in one piece.
const (
	gonumRows = 64
	gonumCols = 3 * 64
)

// gonumSerial is gonum's Sgemm or Dgemm in the caller's goroutine.
func gonumSerial[T Float](tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	aT, bT := isTrans(tA), isTrans(tB)
	p := product[T]{m: m, n: n, k: k, beta: beta, a: newOperand(aT, a, lda), b: newOperand(bT, b, ldb), c: c, ldc: ldc}
	p.check(aT, bT, lda, ldb)
	if alpha == 0 || k == 0 {
		p.scale()
		return
	}
	for i := 0; i < m; i += gonumRows {
		for j := 0; j < n; j += gonumCols {
			gonumGemm(tA, tB, min(gonumRows, m-i), min(gonumCols, n-j), k,
				alpha, p.a.data[i*p.a.row:], lda, p.b.data[j*p.b.col:], ldb, beta, c[i*ldc+j:], ldc)
		}
	}
}

// gonumGemm is gonum's Sgemm or Dgemm.
func gonumGemm[T Float](tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	var impl gonum.Implementation
	switch a := any(a).(type) {
	case []float32:
		impl.Sgemm(tA, tB, m, n, k, float32(alpha), a, lda, any(b).([]float32), ldb, float32(beta), any(c).([]float32), ldc)
	case []float64:
		impl.Dgemm(tA, tB, m, n, k, float64(alpha), a, lda, any(b).([]float64), ldb, float64(beta), any(c).([]float64), ldc)
	}
}

// gonumGemv is gonum's Sgemv or Dgemv.
func gonumGemv[T Float](tA blas.Transpose, m, n int, alpha T, a []T, lda int, x []T, incX int, beta T, y []T, incY int) {
	var impl gonum.Implementation
	switch a := any(a).(type) {
	case []float32:
		impl.Sgemv(tA, m, n, float32(alpha), a, lda, any(x).([]float32), incX, float32(beta), any(y).([]float32), incY)
	case []float64:
		impl.Dgemv(tA, m, n, float64(alpha), a, lda, any(x).([]float64), incX, float64(beta), any(y).([]float64), incY)
	}
}
