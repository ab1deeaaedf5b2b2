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

// PackInSteps is Pack for a product that is computed step by step: C = alpha·A₁·B₁ +
// beta·C, then C += alpha·Aᵢ·Bᵢ for the others in turn, where each Bᵢ is as many rows of
// op(B) as step says, or an equal part of them if they are too many to be added in
// registers, and Aᵢ the columns of op(A) for them. Gonum's implementation adds in an order
// of its own.
func (p *Packed[T]) PackInSteps(tB blas.Transpose, k, n, step int, b []T, ldb int) {
	p.packInSteps(best[T](), tB, k, n, step, b, ldb)
}

// Dims returns the shape of the packed matrix.
func (p *Packed[T]) Dims() (k, n int) { return p.k, p.n }

// pack is Pack for certain kernels.
func (p *Packed[T]) pack(ks *kernels[T], tB blas.Transpose, k, n int, b []T, ldb int) {
	p.packInSteps(ks, tB, k, n, max(1, k), b, ldb)
}

// packInSteps is PackInSteps for certain kernels.
func (p *Packed[T]) packInSteps(ks *kernels[T], tB blas.Transpose, k, n, step int, b []T, ldb int) {
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
	require(step > 0, badStep)
	p.columns.hold(ks, k, 0, n)
	p.columns.step = innerStep(step, blockInner)
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
	p.gemm(false, tA, m, alpha, a, lda, beta, c, ldc)
}

// GemmReversed is Gemm, and returns the same bits, but where A has a single row it reads
// the columns of op(B) from the last to the first. Whoever multiplies row after row, one
// way and the other in turn, finds in a cache that is too small for all of op(B) what the
// product before has read last.
func (p *Packed[T]) GemmReversed(tA blas.Transpose, m int, alpha T, a []T, lda int, beta T, c []T, ldc int) {
	p.gemm(true, tA, m, alpha, a, lda, beta, c, ldc)
}

func (p *Packed[T]) gemm(reversed bool, tA blas.Transpose, m int, alpha T, a []T, lda int, beta T, c []T, ldc int) {
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
	if m == 1 && p.kernels != nil && alpha != 0 && p.k > 0 {
		r := packedRow[T]{a: a, aCol: 1, c: c, alpha: alpha, beta: beta}
		if trans {
			r.aCol = lda
		}
		p.row(&r, reversed)
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

// packedRow is a product of one row of A, whose elements are aCol apart.
type packedRow[T Float] struct {
	a           []T
	aCol        int
	c           []T
	alpha, beta T
}

// row is Gemm for one row of A. A scan makes many such products, of a few hundred
// nanoseconds each.
func (p *Packed[T]) row(r *packedRow[T], reversed bool) {
	full, all := p.n/p.kernels.width, p.columns.wide/p.kernels.width
	for at, end := 0, all; at < end; {
		switch {
		case !reversed:
			some := p.sideBySide(full - at)
			p.rowOf(r, at, some)
			at += some
		case end > full:
			end-- // the narrow one
			p.rowOf(r, end, 1)
		default:
			some := p.sideBySide(end)
			end -= some
			p.rowOf(r, end, some)
		}
	}
}

// sideBySide returns how many panels of as many full ones a row takes side by side.
func (p *Packed[T]) sideBySide(full int) int {
	if full < 2 || p.kernels.panels == nil || p.sums() {
		return 1
	}
	some := min(full, len(p.kernels.panels)+1)
	if full == some+1 {
		some-- // leave two
	}
	return some
}

// sums reports whether there is a kernel for all steps of a panel.
func (p *Packed[T]) sums() bool {
	return p.kernels.sums != nil && p.k == sumBlocks*p.columns.step
}

// rowOf computes the columns of some panels from panel at on.
func (p *Packed[T]) rowOf(r *packedRow[T], at, some int) {
	ks, step, j := p.kernels, p.columns.step, at*p.kernels.width
	cols, c := min(ks.width, p.n-j), &r.c[j]
	if some == 1 && cols == ks.width && p.sums() {
		ks.sums(step, &r.a[0], step*r.aCol, r.aCol, &p.columns.at(0, step, j)[0], step*p.columns.wide, c, r.alpha, r.beta)
		return
	}
	low, beta := &ks.heights[len(ks.heights)-1], r.beta
	for l := 0; l < p.k; l += step {
		k := min(step, p.k-l)
		a, b := &r.a[l*r.aCol], &p.columns.at(l, k, j)[0]
		if some == 1 {
			low.kernel(cols, ks.width)(k, a, 0, r.aCol, b, ks.width, c, 0, cols, r.alpha, beta)
		} else {
			ks.panels[some-2](k, a, r.aCol, b, ks.width*k, c, r.alpha, beta)
		}
		beta = 1
	}
}
