package blas

import "gonum.org/v1/gonum/blas"

// The sizes of what is worked on at a time.
const (
	// Up to blockInner products are added in registers before C is touched. A
	// panel of B, one tile wide and this long, comes from a second-level cache
	// as fast as it is needed. The number also fixes the order of additions: it
	// is the same for all kernels.
	blockInner = 512
	blockRows  = 144  // of A: with blockInner a part of a second-level cache
	blockCols  = 1024 // of B: with blockInner a part of a third-level cache
	flatRows   = 288  // of A: with a few panels of B the same
)

// rowInner is blockInner for an A with one row: so few rows of B can be read
// side by side as memory brings them.
const rowInner = 128

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
	dots        bool // the product is done in scalar products
}

// gemm checks the arguments and does what Sgemm and Dgemm say. The product comes
// with operands that are not transposed.
func (p *product[T]) gemm(tA, tB blas.Transpose, serial bool) {
	if p.prepare(tA, tB) {
		p.run(serial)
	}
}

// prepare is gemm up to the multiplication, and reports whether there is one.
func (p *product[T]) prepare(tA, tB blas.Transpose) bool {
	aT, bT := isTrans(tA), isTrans(tB)
	p.check(aT, bT, p.a.row, p.b.row)
	if p.m == 0 || p.n == 0 {
		return false
	}
	if aT {
		p.a.row, p.a.col = 1, p.a.row
	}
	if bT {
		p.b.row, p.b.col = 1, p.b.row
	}
	if p.alpha == 0 || p.k == 0 {
		p.scale()
		return false
	}
	p.dots = !aT && bT && dotsPay(p.m, p.n, p.k)
	return true
}

// run computes C, in pieces if they pay.
func (p *product[T]) run(serial bool) {
	if serial {
		p.part(0, p.m, 0, p.n)
	} else if g := p.grid(); g.pieces() > 1 {
		p.parallel(g)
	} else {
		p.part(0, p.m, 0, p.n)
	}
}

// part computes rows i0 to i1 and columns j0 to j1 of C.
func (p *product[T]) part(i0, i1, j0, j1 int) {
	if p.dots {
		p.scalarProducts(i0, i1, j0, j1)
	} else {
		p.block(i0, i1, j0, j1, nil)
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

// block does the same with tiles. Meanwhile next is fetched, unless it is nil or blocks
// are copied, which fetch each other.
func (p *product[T]) block(i0, i1, j0, j1 int, next *fetcher[T]) {
	m, n := i1-i0, j1-j0
	packA, packB := p.packing(m, n)
	if packA || packB || m > blockRows || n > blockCols || p.k > blockInner || p.m == 1 && p.k > rowInner {
		p.blocks(i0, i1, j0, j1, packA, packB)
		return
	}
	// One field after the other: copies of whole structs just made stall.
	var a, b panels[T]
	a.data, a.row, a.col, a.panel = p.a.data[i0*p.a.row:], p.a.row, p.a.col, p.kernels.tallest()*p.a.row
	b.data, b.row, b.panel = p.b.data[j0*p.b.col:], p.b.row, p.kernels.width
	p.sweep(&a, &b, m, n, p.k, p.c[i0*p.ldc+j0:], p.beta, next)
}

// blocks does the same in blocks that fit into caches, copied as said.
func (p *product[T]) blocks(i0, i1, j0, j1 int, packA, packB bool) {
	s := p.kernels.takeScratch()
	defer p.kernels.scratch.Put(s)
	if packB && i1-i0 <= flatRows {
		p.flatStrip(s, i0, i1, j0, j1, packA)
		return
	}
	for j := j0; j < j1; j += blockCols {
		n := min(blockCols, j1-j)
		if !packB {
			p.strip(s, i0, i1, j, j+n, nil, packA)
			continue
		}
		p.tallStrip(s, i0, i1, j, n, packA)
	}
}

// tallStrip computes rows i0 to i1 of the n columns from j on. It copies a block
// of B, which stays in a second-level or third-level cache while all rows of A
// pass by.
func (p *product[T]) tallStrip(s *scratch[T], i0, i1, j, n int, packA bool) {
	beta, step := p.beta, innerStep(p.k, blockInner)
	for l := 0; l < p.k; l += step {
		k := min(step, p.k-l)
		b := panels[T]{operand[T]{s.roomForB(p.kernels, k, n), p.kernels.width, 1}, p.kernels.width * k}
		packBlock(p.kernels, b.data, p.b.from(l, j), k, n)
		for i := i0; i < i1; i += blockRows {
			m := min(blockRows, i1-i)
			a := p.panelsOfA(s, i, m, l, k, packA)
			var next fetcher[T]
			switch {
			case i+m < i1:
				p.fetchA(&next, i+m, min(blockRows, i1-i-m), l)
			case l+k < p.k:
				p.fetchA(&next, i0, min(blockRows, i1-i0), l+k)
				p.fetchB(&next, l+k, j, n)
			}
			p.sweep(&a, &b, m, n, k, p.c[i*p.ldc+j:], beta, &next)
		}
		beta = 1
	}
}

// flatStrip computes rows i0 to i1, not more than flatRows, of columns j0 to
// j1. It copies a few panels of B and uses them at once, while they are near.
func (p *product[T]) flatStrip(s *scratch[T], i0, i1, j0, j1 int, packA bool) {
	beta, step, some := p.beta, innerStep(p.k, blockInner), 4*p.kernels.width
	for l := 0; l < p.k; l += step {
		k := min(step, p.k-l)
		a := p.panelsOfA(s, i0, i1-i0, l, k, packA)
		b := panels[T]{operand[T]{s.roomForB(p.kernels, k, min(some, j1-j0)), p.kernels.width, 1}, p.kernels.width * k}
		for j := j0; j < j1; j += some {
			n := min(some, j1-j)
			packBlock(p.kernels, b.data, p.b.from(l, j), k, n)
			var next fetcher[T]
			switch {
			case j+n < j1:
				p.fetchB(&next, l, j+n, min(some, j1-j-n))
			case l+k < p.k:
				p.fetchA(&next, i0, i1-i0, l+k)
				p.fetchB(&next, l+k, j0, min(some, j1-j0))
			}
			p.sweep(&a, &b, i1-i0, n, k, p.c[i0*p.ldc+j:], beta, &next)
		}
		beta = 1
	}
}

// panelsOfA is the m×k block of A at (i, l), copied or in place.
func (p *product[T]) panelsOfA(s *scratch[T], i, m, l, k int, pack bool) panels[T] {
	if pack {
		return s.packA(p.kernels, p.a.from(i, l), m, k)
	}
	return panels[T]{p.a.from(i, l), p.kernels.tallest() * p.a.row}
}

// strip computes rows i0 to i1 of columns j0 to j1. Those of B are in packed,
// where j0 begins a panel, or where they were if that is nil.
func (p *product[T]) strip(s *scratch[T], i0, i1, j0, j1 int, packed *packedColumns[T], packA bool) {
	step, width := innerStep(p.k, blockInner), p.kernels.width
	switch {
	case packed != nil:
		step = packed.step
	case p.m == 1:
		step = innerStep(p.k, rowInner)
	}
	for i := i0; i < i1; i += blockRows {
		m, beta := min(blockRows, i1-i), p.beta
		for l := 0; l < p.k; l += step {
			k := min(step, p.k-l)
			var b panels[T]
			if packed != nil {
				b.data, b.row, b.panel = packed.at(l, k, j0-packed.j), width, width*k
			} else {
				b.data, b.row, b.panel = p.b.data[l*p.b.row+j0*p.b.col:], p.b.row, width
			}
			a := p.panelsOfA(s, i, m, l, k, packA)
			var next fetcher[T]
			switch {
			case l+k < p.k:
				p.fetchA(&next, i, m, l+k)
				if packed == nil {
					p.fetchB(&next, l+k, j0, j1-j0)
				}
			case i+m < i1:
				p.fetchA(&next, i+m, min(blockRows, i1-i-m), 0)
			}
			p.sweep(&a, &b, m, j1-j0, k, p.c[i*p.ldc+j0:], beta, &next)
			beta = 1
		}
	}
}

// InnerStep returns how many of the k products of an element of C are added up before
// the sum is added to C: C is what blocks of so many rows of op(B) give, one after the
// other, as if each had been a call of its own. It is k where there are no kernels for
// this machine. Products of a single row add up otherwise, and so do scalar products, of
// an A that is not transposed and a B that is.
func InnerStep[T Float](k int) int {
	if best[T]() == nil {
		return k
	}
	return innerStep(k, blockInner)
}

// innerStep cuts k into equal parts of at most most.
func innerStep(k, most int) int {
	if k <= most {
		return k // no division: small products notice
	}
	parts := (k + most - 1) / most
	return (k + parts - 1) / parts
}

// sweep computes the m×n block at the start of c, tile by tile, the panel of B
// staying in the nearest cache while those of A pass by. Meanwhile next is fetched,
// if it is not nil.
func (p *product[T]) sweep(a, b *panels[T], m, n, k int, c []T, beta T, next *fetcher[T]) {
	width, evenly := p.kernels.width, p.evenly(a, m)
	if p.kernels.fetching == nil || next != nil && !next.begin(p.tallTiles(m, evenly)*(n/width)) {
		next = nil
	}
	j, bAt := 0, 0
	if m == 1 && b.panel == width { // B lies as it was, row by row
		for wide := rowTiles * width; n-j >= wide; j, bAt = j+wide, bAt+wide {
			p.kernels.row(k, &a.data[0], 0, a.col, &b.data[bAt], b.row, &c[j], 0, wide, p.alpha, beta)
		}
	}
	for ; j < n; j, bAt = j+width, bAt+b.panel {
		cols, bPanel := min(width, n-j), &b.data[bAt]
		rest, aAt, cAt, aStep := m, 0, j, a.panel
		for h := range p.kernels.heights {
			height := &p.kernels.heights[h]
			rows := height.rows
			if h > 0 {
				aStep = rows * a.row // what is left is in one panel
			}
			if rest < rows {
				continue
			}
			kernel, least := height.kernel(cols, width), rows
			if h == 0 && evenly {
				least += rows - 1 // leave the rows for two of the next height
			}
			for ; rest >= least; rest, aAt, cAt = rest-rows, aAt+aStep, cAt+rows*p.ldc {
				if next != nil && h == 0 && cols == width {
					if ahead, row := next.turn(); ahead != nil {
						p.kernels.fetching(k, &a.data[aAt], a.row, a.col, bPanel, b.row, &c[cAt], p.ldc, cols, p.alpha, beta, ahead, row)
						continue
					}
				}
				kernel(k, &a.data[aAt], a.row, a.col, bPanel, b.row, &c[cAt], p.ldc, cols, p.alpha, beta)
			}
		}
	}
}

// tallTiles is the number of tiles of the greatest height among m rows.
func (p *product[T]) tallTiles(m int, evenly bool) int {
	if evenly {
		m -= p.kernels.tallest()
	}
	return m / p.kernels.tallest()
}

// evenly reports whether the last m rows should be two tiles of the second height,
// which are faster than one of the first and a low one. Their A must be in rows, since
// a panel has as many as the first height.
func (p *product[T]) evenly(a *panels[T], m int) bool {
	high, low := p.kernels.heights[0].rows, p.kernels.heights[1].rows
	return m > high && m%high == 2*low-high && a.panel == high*a.row
}
