package blas

import "gonum.org/v1/gonum/blas"

// Products with a lower triangular l×l matrix, each computed on the caller's core in
// tiles that leave out most of the other half. The order of additions is Gemm's, and
// results are the same bits with all kernels.

// LowerAhead is how many elements to the right of the diagonal LowerTimes may read.
const LowerAhead = 15

// LowerTimes computes C = alpha·op(A)·B + beta·C, where A is a lower triangular l×l
// matrix and B l×n. The elements above the diagonal of A are not read, but for the first
// LowerAhead of each row, which must be zero.
func LowerTimes[T Float](bl BLAS, tA blas.Transpose, l, n int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	ks := kernelsOf[T](bl)
	if ks == nil || l > lowerNear {
		lowerTimesInStrips(bl.Serial(), tA, l, n, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	p := product[T]{kernels: ks, m: l, n: n, k: l, alpha: alpha, beta: beta, c: c, ldc: ldc}
	p.a.data, p.a.row, p.a.col = a, lda, 1
	p.b.data, p.b.row, p.b.col = b, ldb, 1
	if p.prepare(tA, blas.NoTrans) {
		p.lowerTimes(isTrans(tA))
	}
}

// lowerNear is the l up to which tiles are computed in place, each with as much of A as is
// not zero: the longest chunk of an mLSTM, unless a caller sets another length. Larger
// matrices are cut into strips, which copy what does not fit into caches.
//
// Measured on a Xeon with one core, l = 256 and 192 columns, as shares of the rate of
// multiply-adds in registers, in strips and in tiles: 83 and 87 % with AVX-512, 87 and 88 %
// with AVX2, and for a transposed A 74 and 81 %, 77 and 85 %.
const lowerNear = 256

// lowerStrip is the number of rows that LowerTimes computes in a product of its own.
const lowerStrip = LowerAhead + 1

func lowerTimesInStrips[T Float](bl BLAS, tA blas.Transpose, l, n int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	for i := 0; i < l; i += lowerStrip {
		rows := min(lowerStrip, l-i)
		if isTrans(tA) {
			Gemm(bl, tA, blas.NoTrans, rows, n, l-i, alpha, a[i*lda+i:], lda, b[i*ldb:], ldb, beta, c[i*ldc:], ldc)
		} else {
			Gemm(bl, tA, blas.NoTrans, rows, n, i+rows, alpha, a[i*lda:], lda, b, ldb, beta, c[i*ldc:], ldc)
		}
	}
}

// lowerTimes computes C from an A whose upper triangle or, if it is transposed, whose
// lower one is zero.
func (p *product[T]) lowerTimes(trans bool) {
	for j := 0; j < p.n; j += p.kernels.width {
		cols := min(p.kernels.width, p.n-j)
		p.tiles(p.m, func(kernel *height[T], i int) {
			from, to := 0, i+kernel.rows
			if trans {
				from, to = i, p.k
			}
			kernel.kernel(cols, p.kernels.width)(to-from, &p.a.data[i*p.a.row+from*p.a.col], p.a.row, p.a.col,
				&p.b.data[from*p.b.row+j], p.b.row, &p.c[i*p.ldc+j], p.ldc, cols, p.alpha, p.beta)
		})
	}
}

// tiles calls f for the tiles among m rows of an A in place, with the row with which each
// begins.
func (p *product[T]) tiles(m int, f func(h *height[T], i int)) {
	a := panels[T]{p.a, p.kernels.tallest() * p.a.row}
	i, evenly := 0, p.evenly(&a, m)
	for h := range p.kernels.heights {
		height := &p.kernels.heights[h]
		least := height.rows
		if h == 0 && evenly {
			least += height.rows - 1 // leave the rows for two of the next height
		}
		for ; m-i >= least; i += height.rows {
			f(height, i)
		}
	}
}

// LowerOf computes the lower triangle of C = alpha·A·Bᵀ for l×k A and B. Elements above
// the diagonal of C are undefined.
func LowerOf[T Float](bl BLAS, l, k int, alpha T, a []T, lda int, b []T, ldb int, c []T, ldc int) {
	ks := kernelsOf[T](bl)
	if ks == nil || k > blockInner {
		lowerOfInStrips(bl.Serial(), l, k, alpha, a, lda, b, ldb, c, ldc)
		return
	}
	p := product[T]{kernels: ks, m: l, n: l, k: k, alpha: alpha, c: c, ldc: ldc}
	p.a.data, p.a.row, p.a.col = a, lda, 1
	p.b.data, p.b.row, p.b.col = b, ldb, 1
	if p.prepare(blas.NoTrans, blas.Trans) {
		p.lowerOf()
	}
}

// lowerOfStrip is the number of columns that LowerOf computes in a product of its own.
const lowerOfStrip = 32

func lowerOfInStrips[T Float](bl BLAS, l, k int, alpha T, a []T, lda int, b []T, ldb int, c []T, ldc int) {
	for j := 0; j < l; j += lowerOfStrip {
		Gemm(bl, blas.NoTrans, blas.Trans, l-j, min(lowerOfStrip, l-j), k, alpha, a[j*lda:], lda, b[j*ldb:], ldb, 0, c[j*ldc+j:], ldc)
	}
}

// lowerOf copies a panel of the transposed B at a time and computes the tiles that are
// not above the diagonal, in half the width where the other half is.
func (p *product[T]) lowerOf() {
	s, width := p.kernels.takeScratch(), p.kernels.width
	defer p.kernels.scratch.Put(s)
	b := s.roomForB(p.kernels, p.k, width)
	for j := 0; j < p.n; j += width {
		packBlock(p.kernels, b, p.b.from(0, j), p.k, min(width, p.n-j))
		p.tiles(p.m-j, func(kernel *height[T], i int) {
			cols := width
			if i+kernel.rows <= width/2 {
				cols = width / 2
			}
			cols = min(cols, p.n-j)
			kernel.kernel(cols, width)(p.k, &p.a.data[(j+i)*p.a.row], p.a.row, 1, &b[0], width, &p.c[(j+i)*p.ldc+j], p.ldc, cols, p.alpha, 0)
		})
	}
}
