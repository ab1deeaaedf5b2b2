package blas

import "gonum.org/v1/gonum/blas"

// dotsPay reports whether, for a transposed B, scalar products are faster than
// transposing it, which they are if C has few rows or columns and k is large
// enough to outweigh the addition of the partial sums.
//
// Measured on Zen 4, times faster than transposing: 1.8 to 2.3 for 2 to 6 rows and
// k = 512, 1.35 for 8 and 192, 1.25 for 16 and 384, 0.9 for 8 and 64 or 16 and 128;
// 1.5 for 8 columns and 64.
func dotsPay(m, n, k int) bool {
	few := min(m, n)
	return few <= 4 || few <= 16 && k >= 16*few || n <= 8 && k >= 8*n
}

// dotCols is how many columns of B pass by at a time.
const dotCols = 8

// canGemv reports whether gemv supports these arguments.
func canGemv(tA blas.Transpose, incX, incY int) bool {
	switch tA {
	case blas.NoTrans:
		return incX == 1 && incY > 0
	case blas.Trans, blas.ConjTrans:
		return incX > 0 && incY == 1
	}
	return false
}

// gemv checks the arguments and does what Sgemv and Dgemv say, where canGemv
// agrees. It sees y as a row, yᵀ = alpha·xᵀ·op(A)ᵀ + beta·yᵀ, if it can.
func gemv[T Float](ks *kernels[T], tA blas.Transpose, m, n int, alpha T, a []T, lda int, x []T, incX int, beta T, y []T, incY int, serial bool) {
	trans := isTrans(tA)
	needY, needX := stored(trans, m, n)
	checkGemv(m, n, len(a), lda, len(x), incX, needX, len(y), incY, needY)
	if m == 0 || n == 0 {
		return
	}
	p := product[T]{kernels: ks, k: needX, alpha: alpha, beta: beta, c: y, ldc: incY, dots: !trans}
	rows := newOperand(trans, a, lda)
	if incY == 1 {
		p.m, p.n, p.a, p.b = 1, needY, operand[T]{x, 0, incX}, operand[T]{a, rows.col, rows.row}
	} else {
		p.m, p.n, p.a, p.b = needY, 1, rows, operand[T]{x, incX, 0}
	}
	if alpha == 0 {
		scaleInc(y, needY, incY, beta)
		return
	}
	p.run(serial)
}

// scaleInc computes y = beta·y for n elements inc apart.
func scaleInc[T Float](y []T, n, inc int, beta T) {
	for i := range n {
		if beta == 0 {
			y[i*inc] = 0
		} else {
			y[i*inc] *= beta
		}
	}
}

// scalarProducts computes rows i0 to i1 and columns j0 to j1 of C where the rows of
// A and the columns of B are in one piece. The fewer of the two stay in the nearest
// cache while the others pass by once.
func (p *product[T]) scalarProducts(i0, i1, j0, j1 int) {
	switch {
	case p.fetchesAhead(i1-i0, j1-j0):
		p.farProducts(i0, i1, j0, j1)
		return
	case i1-i0 <= j1-j0:
		for j := j0; j < j1; j += dotCols {
			p.dotStrip(i0, i1, j, min(j1, j+dotCols))
		}
		return
	}
	for i, rows := i0, p.kernels.dots[0].rows; i < i1; i += rows {
		p.dotStrip(i, min(i1, i+rows), j0, j1)
	}
}

// farAway is the number of elements from which on a B that a single row of A
// reads once is taken to lie in memory, or in a cache that is far away. It is
// then read in the order of memory: taken in several streams it comes at half
// the speed (measured on Zen 4: 10 and 20 GB/s where B does not fit the
// third-level cache, 60 and 83 where it does; in the second-level cache the
// streams are up to a seventh faster).
const farAway = 1 << 14

// dotStrip does the same tile by tile.
func (p *product[T]) dotStrip(i0, i1, j0, j1 int) {
	inOrder := p.m == 1 && p.n*p.k >= farAway
	for h := range p.kernels.dots {
		d := &p.kernels.dots[h]
		for ; i1-i0 >= d.rows; i0 += d.rows {
			a, j := &p.a.data[i0*p.a.row], j0
			for s := range d.strip {
				cols, kernel := d.strip[s].cols, d.strip[s].kernel
				if inOrder && cols > 1 {
					continue
				}
				for ; j1-j >= cols; j += cols {
					kernel(p.k, a, p.a.row, &p.b.data[j*p.b.col], p.b.col, &p.c[i0*p.ldc+j], p.ldc, p.alpha, p.beta)
				}
			}
			if j < j1 {
				p.kernels.inTurn(j1-j, p.k, a, &p.b.data[j*p.b.col], p.b.col, &p.c[i0*p.ldc+j], p.alpha, p.beta)
			}
		}
	}
}
