package blas

import "gonum.org/v1/gonum/blas"

// Packed is a matrix op(B) in the layout of the kernels, for repeated
// multiplication from the left. The zero Packed is ready for Pack. Its memory
// is kept for the next Pack, so that a Packed from a pool allocates only while
// it grows.
//
// Any number of goroutines may call Gemm concurrently, but not while Pack runs.
type Packed[T Float] struct {
	kernels *kernels[T] // nil: none for this machine
	k, n    int
	columns packedColumns[T] // of all of op(B), in panels; without kernels row by row
}

// Pack copies the k×n matrix op(B) to p, where ldb is the distance between
// stored rows of B.
func (p *Packed[T]) Pack(tB blas.Transpose, k, n int, b []T, ldb int) {
	p.pack(best[T](), tB, k, n, b, ldb)
}

// Dims returns the shape of the packed matrix.
func (p *Packed[T]) Dims() (k, n int) { return p.k, p.n }

// pack is Pack for certain kernels.
func (p *Packed[T]) pack(ks *kernels[T], tB blas.Transpose, k, n int, b []T, ldb int) {
	trans := isTrans(tB)
	require(k >= 0, kLT0)
	require(n >= 0, nLT0)
	rows, cols := stored(trans, k, n)
	require(ldb >= max(1, cols), badLdB)
	p.kernels, p.k, p.n = ks, k, n
	if k == 0 || n == 0 {
		return
	}
	require(len(b) >= (rows-1)*ldb+cols, shortB)
	from := newOperand(trans, b, ldb)
	if ks == nil {
		p.columns.data = grown(p.columns.data, k*n)
		from.copyTo(p.columns.data, k, n)
		return
	}
	p.columns.hold(ks, k, 0, n)
	p.columns.pack(ks, from, k)
}

// copyTo writes the k×n matrix at the start of o to dst, row by row.
func (o operand[T]) copyTo(dst []T, k, n int) {
	for l := range k {
		for j := range n {
			dst[l*n+j] = o.data[l*o.row+j*o.col]
		}
	}
}

// Gemm computes C = alpha·op(A)·op(B) + beta·C, where op(A) has m rows and
// op(B) is the packed matrix. It starts no goroutines, does not allocate and
// returns the same bits as Sgemm or Dgemm, except for a single row and where
// those use scalar products. It is intended for few rows: A is read in place.
func (p *Packed[T]) Gemm(tA blas.Transpose, m int, alpha T, a []T, lda int, beta T, c []T, ldc int) {
	trans := isTrans(tA)
	require(m >= 0, mLT0)
	rows, cols := stored(trans, m, p.k)
	require(lda >= max(1, cols), badLdA)
	require(ldc >= max(1, p.n), badLdC)
	if m == 0 || p.n == 0 {
		return
	}
	require(len(a) >= (rows-1)*lda+cols, shortA)
	require(len(c) >= (m-1)*ldc+p.n, shortC)
	if m == 1 && p.kernels != nil && alpha != 0 && p.k > 0 && p.k <= blockInner {
		aCol := 1
		if trans {
			aCol = lda
		}
		p.row(alpha, a, aCol, beta, c)
		return
	}
	var q product[T]
	q.kernels, q.m, q.n, q.k, q.alpha, q.beta, q.c, q.ldc = p.kernels, m, p.n, p.k, alpha, beta, c, ldc
	switch {
	case alpha == 0 || p.k == 0:
		q.scale()
	case p.kernels == nil:
		gonumSerial(tA, blas.NoTrans, m, p.n, p.k, alpha, a, lda, p.columns.data, p.n, beta, c, ldc)
	default:
		q.a.data, q.a.row, q.a.col = a, lda, 1
		if trans {
			q.a.row, q.a.col = 1, lda
		}
		q.strip(nil, 0, m, 0, p.n, &p.columns, false)
	}
}

// row is Gemm for one row of A, whose elements are aCol apart, and a k of one block.
// A scan makes many such products, of a few hundred nanoseconds each.
func (p *Packed[T]) row(alpha T, a []T, aCol int, beta T, c []T) {
	ks, b, j := p.kernels, p.columns.data, 0
	width, panel := ks.width, ks.width*p.k
	for left := p.n / width; left >= 2 && ks.panels != nil; {
		some := min(left, len(ks.panels)+1)
		if left == some+1 {
			some-- // leave two
		}
		ks.panels[some-2](p.k, &a[0], aCol, &b[j*p.k], panel, &c[j], alpha, beta)
		j, left = j+some*width, left-some
	}
	low := &ks.heights[len(ks.heights)-1]
	for ; j < p.n; j += width {
		cols := min(width, p.n-j)
		low.kernel(cols, width)(p.k, &a[0], 0, aCol, &b[j*p.k], width, &c[j], 0, cols, alpha, beta)
	}
}
