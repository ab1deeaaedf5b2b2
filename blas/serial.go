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

// Ahead is memory that is read soon: the first Cols elements of rows that begin Row
// elements apart, the first of them with Data, which has at least as many.
type Ahead[T Float] struct {
	Data      []T
	Row, Cols int
}

// GemmAhead is Gemm on the caller's core, during which k rows of each of at most
// MostAhead other parts of memory are fetched into the second-level cache, one line of it
// with each step of a tile, in their order and as far as there are steps. Asked for all at
// once, a processor would wait for them. A part may end before k rows: what is behind it
// is fetched, too, and need not be memory of the process. Nothing is fetched where an
// operand is copied first, nor by kernels other than AVX-512's and AVX2's.
func GemmAhead[T Float](bl BLAS, tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int, ahead []Ahead[T]) {
	ks := kernelsOf[T](bl)
	if ks == nil {
		Gemm(bl.Serial(), tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	p := product[T]{kernels: ks, m: m, n: n, k: k, alpha: alpha, beta: beta, c: c, ldc: ldc}
	p.a.data, p.a.row, p.a.col = a, lda, 1
	p.b.data, p.b.row, p.b.col = b, ldb, 1
	if !p.prepare(tA, tB) {
		return
	}
	if p.dots {
		p.scalarProducts(0, m, 0, n)
		return
	}
	var next fetcher[T]
	for _, x := range ahead {
		next.add(x.Data, x.Row, x.Cols)
	}
	p.block(0, m, 0, n, &next)
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
