package blas

import "gonum.org/v1/gonum/blas"

// What gonum says of bad arguments, in its words.
const (
	mLT0         = "blas: m < 0"
	nLT0         = "blas: n < 0"
	kLT0         = "blas: k < 0"
	badTranspose = "blas: illegal transpose"
	badStep      = "blas: bad step of the inner index"
	badLdA       = "blas: bad leading dimension of A"
	badLdB       = "blas: bad leading dimension of B"
	badLdC       = "blas: bad leading dimension of C"
	shortX       = "blas: insufficient length of x"
	shortY       = "blas: insufficient length of y"
	shortA       = "blas: insufficient length of a"
	shortB       = "blas: insufficient length of b"
	shortC       = "blas: insufficient length of c"
)

// isTrans reports whether op(X) is Xᵀ.
func isTrans(t blas.Transpose) bool {
	switch t {
	case blas.NoTrans:
		return false
	case blas.Trans, blas.ConjTrans:
		return true
	}
	panic(badTranspose)
}

func require(ok bool, message string) {
	if !ok {
		panic(message)
	}
}

// stored is the shape of X in memory when op(X) is rows×cols.
func stored(trans bool, rows, cols int) (int, int) {
	if trans {
		return cols, rows
	}
	return rows, cols
}

// check panics as gonum does, in the same order. Nothing need be long enough
// for a C without elements.
func (p *product[T]) check(aT, bT bool, lda, ldb int) {
	m, n, k := p.m, p.n, p.k
	require(m >= 0, mLT0)
	require(n >= 0, nLT0)
	require(k >= 0, kLT0)
	aRows, aCols := stored(aT, m, k)
	bRows, bCols := stored(bT, k, n)
	require(lda >= max(1, aCols), badLdA)
	require(ldb >= max(1, bCols), badLdB)
	require(p.ldc >= max(1, n), badLdC)
	if m == 0 || n == 0 {
		return
	}
	require(len(p.a.data) >= (aRows-1)*lda+aCols, shortA)
	require(len(p.b.data) >= (bRows-1)*ldb+bCols, shortB)
	require(len(p.c) >= (m-1)*p.ldc+n, shortC)
}

// checkGemv panics as gonum does where both increments are positive.
func checkGemv(m, n, lenA, lda, lenX, incX, needX, lenY, incY, needY int) {
	require(m >= 0, mLT0)
	require(n >= 0, nLT0)
	require(lda >= max(1, n), badLdA)
	if m == 0 || n == 0 {
		return
	}
	require(lenX > (needX-1)*incX, shortX)
	require(lenY > (needY-1)*incY, shortY)
	require(lenA >= (m-1)*lda+n, shortA)
}
