package blas

import "gonum.org/v1/gonum/blas"

// maxDotRows is up to how many rows of A, times a transposed B, scalar products
// are faster than transposing B.
const maxDotRows = 4

// canGemv says whether gemv takes these arguments.
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
// agrees. It sees y as a row: yᵀ = alpha·xᵀ·op(A)ᵀ + beta·yᵀ.
func gemv[T Float](ks *kernels[T], tA blas.Transpose, m, n int, alpha T, a []T, lda int, x []T, incX int, beta T, y []T, incY int) {
	trans := isTrans(tA)
	needY, needX := stored(trans, m, n)
	checkGemv(m, n, len(a), lda, len(x), incX, needX, len(y), incY, needY)
	if m == 0 || n == 0 {
		return
	}
	p := product[T]{ks, 1, needY, needX, alpha, beta, operand[T]{x, 0, incX}, newOperand(!trans, a, lda), y, 0}
	switch {
	case alpha == 0:
		scaleInc(y, needY, incY, beta)
	case trans:
		p.block(0, 1, 0, needY)
	default:
		p.dotRow(x[:needX], y, incY)
	}
}

// scaleInc computes y = beta·y for n elements inc apart.
func scaleInc[T Float](y []T, n, inc int, beta T) {
	for i := range n {
		y[i*inc] = blend(0, 0, beta, y[i*inc])
	}
}

// dots computes the product of an A that is not transposed and a B that is.
func (p *product[T]) dots() {
	for i := range p.m {
		p.dotRow(p.a.data[i*p.a.row:][:p.k], p.c[i*p.ldc:], 1)
	}
}

// dotRow computes y = alpha·x·B + beta·y, where the columns of B are in one
// piece and the elements of y inc apart.
func (p *product[T]) dotRow(x, y []T, inc int) {
	ld := p.b.col
	j := 0
	for ; p.n-j >= 4; j += 4 {
		r0, r1, r2, r3 := p.kernels.dots4(p.k, &p.b.data[j*ld], ld, &x[0])
		y0, y1, y2, y3 := &y[j*inc], &y[(j+1)*inc], &y[(j+2)*inc], &y[(j+3)*inc]
		*y0 = blend(p.alpha, r0, p.beta, *y0)
		*y1 = blend(p.alpha, r1, p.beta, *y1)
		*y2 = blend(p.alpha, r2, p.beta, *y2)
		*y3 = blend(p.alpha, r3, p.beta, *y3)
	}
	for ; j < p.n; j++ {
		r := p.kernels.dot(p.k, &p.b.data[j*ld], ld, &x[0])
		y[j*inc] = blend(p.alpha, r, p.beta, y[j*inc])
	}
}

// blend is alpha·r + beta·y, where a zero beta takes no notice of y.
func blend[T Float](alpha, r, beta, y T) T {
	if beta == 0 {
		return alpha * r
	}
	return alpha*r + beta*y
}
