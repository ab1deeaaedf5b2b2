package kernels

import (
	"github.com/gorgonia-xlstm/xlstm/blas"
	gblas "gonum.org/v1/gonum/blas"
)

// engine computes the products of matrices, serial those of callers that are
// parallel themselves.
var (
	engine = blas.Implementation()
	serial = engine.Serial()
)

// Gemm computes C = alpha·op(A)·op(B) + beta·C on row-major matrices, where
// op(A) is m×k and op(B) k×n; transA and transB mean that the matrix is stored
// transposed. lda, ldb and ldc are the distances between stored rows.
func Gemm[F Float](transA, transB bool, m, n, k int, alpha F, a []F, lda int, b []F, ldb int, beta F, c []F, ldc int) {
	gemm(engine, transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// serialGemm is Gemm without goroutines.
func serialGemm[F Float](transA, transB bool, m, n, k int, alpha F, a []F, lda int, b []F, ldb int, beta F, c []F, ldc int) {
	gemm(serial, transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

func gemm[F Float](engine blas.BLAS, transA, transB bool, m, n, k int, alpha F, a []F, lda int, b []F, ldb int, beta F, c []F, ldc int) {
	if m == 0 || n == 0 {
		return
	}
	blas.Gemm(engine, trans(transA), trans(transB), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

func trans(t bool) gblas.Transpose {
	if t {
		return gblas.Trans
	}
	return gblas.NoTrans
}

var packedPools = newPools[blas.Packed[float32], blas.Packed[float64]]()

// packed returns op(B), k×n, laid out to be multiplied many times, and the
// function that gives its memory back.
func packed[F Float](transB bool, k, n int, b []F, ldb int) (*blas.Packed[F], func()) {
	pool := poolOf[F](packedPools)
	p := pool.Get().(*blas.Packed[F])
	p.Pack(trans(transB), k, n, b, ldb)
	return p, func() { pool.Put(p) }
}
