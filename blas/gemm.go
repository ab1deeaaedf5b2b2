package blas

import "gonum.org/v1/gonum/blas"

// The sizes of what is worked on at a time.
const (
	// Up to blockInner products are added in registers before C is touched. A
	// panel of B, one tile wide and this long, then just fills a first-level cache. The
	// number also fixes the order of additions: it is the same for all kernels.
	blockInner = 256
	blockRows  = 144  // of A: with blockInner a part of a second-level cache
	blockCols  = 1024 // of B: with blockInner a part of a third-level cache
)

// operand is a matrix whose element (i, j) is at data[i·row+j·col].
type operand[T Float] struct {
	data     []T
	row, col int
}

// newOperand is op(X) for an X with leading dimension ld.
func newOperand[T Float](trans bool, x []T, ld int) operand[T] {
	if trans {
		return operand[T]{x, 1, ld}
	}
	return operand[T]{x, ld, 1}
}

// from is the operand without its first i rows and j columns.
func (o operand[T]) from(i, j int) operand[T] {
	return operand[T]{o.data[i*o.row+j*o.col:], o.row, o.col}
}

// product is C = alpha·A·B + beta·C with an m×k A and a k×n B.
type product[T Float] struct {
	kernels     *kernels[T]
	m, n, k     int
	alpha, beta T
	a, b        operand[T]
	c           []T
	ldc         int
}

// gemm checks the arguments and does what Sgemm and Dgemm say.
func gemm[T Float](ks *kernels[T], tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	aT, bT := isTrans(tA), isTrans(tB)
	checkGemm(aT, bT, m, n, k, len(a), lda, len(b), ldb, len(c), ldc)
	if m == 0 || n == 0 {
		return
	}
	p := product[T]{ks, m, n, k, alpha, beta, newOperand(aT, a, lda), newOperand(bT, b, ldb), c, ldc}
	switch {
	case alpha == 0 || k == 0:
		p.scale()
	case !aT && bT && m <= maxDotRows:
		p.dots()
	default:
		if pieces := p.pieces(); pieces > 1 {
			p.parallel(pieces)
		} else {
			p.block(0, m, 0, n)
		}
	}
}

// scale computes C = beta·C.
func (p *product[T]) scale() {
	for i := range p.m {
		row := p.c[i*p.ldc:][:p.n]
		switch p.beta {
		case 0:
			clear(row)
		case 1:
		default:
			for j := range row {
				row[j] *= p.beta
			}
		}
	}
}

// block computes rows i0 to i1 and columns j0 to j1 of C.
func (p *product[T]) block(i0, i1, j0, j1 int) {
	packA, packB := p.packing(i1-i0, j1-j0)
	var s *scratch[T]
	if packA || packB {
		s = p.kernels.takeScratch()
		defer p.kernels.scratch.Put(s)
	}
	for j := j0; j < j1; j += blockCols {
		n := min(blockCols, j1-j)
		beta := p.beta
		for l, step := 0, innerStep(p.k); l < p.k; l += step {
			k := min(step, p.k-l)
			b := panels[T]{operand: p.b.from(l, j), panel: p.kernels.width}
			if packB {
				b = s.packB(p.kernels, b.operand, k, n)
			}
			for i := i0; i < i1; i += blockRows {
				m := min(blockRows, i1-i)
				a := panels[T]{operand: p.a.from(i, l)}
				a.panel = p.kernels.tallest() * a.row
				if packA {
					a = s.packA(p.kernels, a.operand, m, k)
				}
				p.sweep(a, b, m, n, k, p.c[i*p.ldc+j:], beta)
			}
			beta = 1
		}
	}
}

// innerStep cuts k into equal parts of at most blockInner.
func innerStep(k int) int {
	if k <= blockInner {
		return k // no division: small products notice
	}
	parts := (k + blockInner - 1) / blockInner
	return (k + parts - 1) / parts
}

// sweep computes the m×n block at the start of c, tile by tile, the panel of B
// staying in the first-level cache while those of A pass by.
func (p *product[T]) sweep(a, b panels[T], m, n, k int, c []T, beta T) {
	width, tallest := p.kernels.width, p.kernels.tallest()
	for j, bAt := 0, 0; j < n; j, bAt = j+width, bAt+b.panel {
		cols := min(width, n-j)
		bPanel := &b.data[bAt]
		i := 0
		for h := range p.kernels.heights {
			height := &p.kernels.heights[h]
			kernel := height.kernel(cols, width)
			for ; m-i >= height.rows; i += height.rows {
				aTile := &a.data[i/tallest*a.panel+i%tallest*a.row]
				kernel(k, aTile, a.row, a.col, bPanel, b.row, &c[i*p.ldc+j], p.ldc, cols, p.alpha, beta)
			}
		}
	}
}
