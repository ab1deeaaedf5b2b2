package blas

import "unsafe"

// panels is a block of A or B cut into panels, as high or wide as a tile,
// which begin panel elements after one another.
type panels[T Float] struct {
	operand[T]
	panel int
}

// scratch is the memory that blocks of A and B are copied to.
type scratch[T Float] struct{ a, b []T }

func (ks *kernels[T]) takeScratch() *scratch[T] {
	if s, ok := ks.scratch.Get().(*scratch[T]); ok {
		return s
	}
	return new(scratch[T])
}

// grown is s with length n and any contents.
func grown[T Float](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// sameSets is the distance, in bytes, of lines of memory that share a place of a
// first-level cache.
const sameSets = 4096

// packing returns which operands to copy for an m×n product. The kernels read
// matrices in place at nearly full speed, so a copy only pays for data that is
// read many times from beyond the second-level cache, or for rows of A that
// conflict in the first-level cache. A transposed B must be copied, because the
// kernels need contiguous rows.
//
// Measured on Zen 4: up to 192 wide, also as slices of matrices four times as
// wide, no copy of A and of a B that is not transposed paid, and each cost 5 to
// 30 %; 1024³ lost 16 % without any.
func (p *product[T]) packing(m, n int) (a, b bool) {
	const near = 1 << 18 // bytes: a part of a second-level cache
	size := int(unsafe.Sizeof(p.alpha))
	tallest, width, k := p.kernels.tallest(), p.kernels.width, min(p.k, blockInner)
	switch {
	case m <= tallest:
	case n > 16*width:
		a = true
	case p.a.col == 1:
		a = n > width && p.a.row*size%sameSets == 0
	default:
		a = n >= 4*width && k*p.a.col*size > near
	}
	b = p.b.col != 1 || m > 12*tallest && k*p.b.row*size > near
	return a, b
}

// rowGap keeps the rows of a copied A from falling on the same places of a
// cache, while they stay aligned to its lines.
const rowGap = 16

// packA copies the m×k block at the start of a.
func (s *scratch[T]) packA(ks *kernels[T], a operand[T], m, k int) panels[T] {
	tallest := ks.tallest()
	if a.col == 1 {
		ld := (k+rowGap-1)/rowGap*rowGap + rowGap
		s.a = grown(s.a, m*ld)
		for i := range m {
			copy(s.a[i*ld:][:k], a.data[i*a.row:])
		}
		return panels[T]{operand[T]{s.a, ld, 1}, tallest * ld}
	}
	s.a = grown(s.a, (m+tallest-1)/tallest*tallest*k)
	copyPanels(ks.copyA, s.a, tallest, a.data, a.col, k, m)
	return panels[T]{operand[T]{s.a, 1, tallest}, tallest * k}
}

// roomForB is memory for k×n elements in panels.
func (s *scratch[T]) roomForB(ks *kernels[T], k, n int) []T {
	s.b = grown(s.b, ks.wide(n)*k)
	return s.b
}

// packedColumns is n columns of B, from column j on, in panels, for one block of
// the inner index after the other.
type packedColumns[T Float] struct {
	data []T
	j, n int
	wide int // n with the columns that fill the last panel
	step int // the inner index in each block, as far as there are so many
}

// hold makes room for n columns of k elements.
func (p *packedColumns[T]) hold(ks *kernels[T], k, j, n int) {
	p.j, p.n, p.wide, p.step = j, n, ks.wide(n), innerStep(k, blockInner)
	p.data = grown(p.data, p.wide*k)
}

// at is the block of k rows from row l on, from the panel on with which the given
// one of its columns begins.
func (p *packedColumns[T]) at(l, k, col int) []T { return p.data[l*p.wide+col*k:] }

// wide is n columns with those that fill the last tile.
func (ks *kernels[T]) wide(n int) int { return (n + ks.width - 1) / ks.width * ks.width }

// pack copies all of them; b begins with the first.
func (p *packedColumns[T]) pack(ks *kernels[T], b operand[T], k int) {
	for l := 0; l < k; l += p.step {
		rows := min(p.step, k-l)
		packBlock(ks, p.at(l, rows, 0), b.from(l, 0), rows, p.n)
	}
}

// packBlock copies the k×n matrix b into panels.
func packBlock[T Float](ks *kernels[T], dst []T, b operand[T], k, n int) {
	w := ks.width
	if b.col == 1 {
		copyPanels(ks.copyB, dst, w, b.data, b.row, k, n)
		return
	}
	for j := 0; j < n; j += w {
		transposeRows(ks, dst[j*k:], w, b.data[j*b.col:], b.col, min(w, n-j), k)
	}
}

// copyPanels cuts the k×n matrix src into panels w wide, copying the rows of
// all but the last, narrower one with f. It takes a few rows at a time through
// all panels, so as to read memory nearly in its order, and each line once: no more
// rows than the first-level cache holds where they are a power of two apart.
//
// Measured on Zen 4 with one core: 256 rows, 1,024 wide, as a transposed A, with 256
// columns of B reach 92 % of the rate of multiply-adds in registers with 16 rows at a
// time and 95 with 8 (AVX2: 86 and 91); rows 768 wide lose 1 % with 8.
func copyPanels[T Float](f func(rows int, src *T, srcRow int, dst *T), dst []T, w int, src []T, ldSrc, k, n int) {
	rows := 16
	if ldSrc*int(unsafe.Sizeof(dst[0]))%sameSets == 0 {
		rows = 8 // all of them in one place, which has few lines
	}
	whole := n - n%w
	for p := 0; p < k; p += rows {
		some := min(rows, k-p)
		for j := 0; j < whole; j += w {
			f(some, &src[p*ldSrc+j], ldSrc, &dst[j*k+p*w])
		}
		if whole < n {
			copyRows(dst[whole*k+p*w:], w, src[p*ldSrc+whole:], ldSrc, some, n-whole)
		}
	}
}

// copyRows copies a rows×cols matrix.
func copyRows[T Float](dst []T, ldDst int, src []T, ldSrc, rows, cols int) {
	for i := range rows {
		copy(dst[i*ldDst:][:cols], src[i*ldSrc:])
	}
}

// transposeRows makes the rows of the rows×cols matrix src columns of dst.
func transposeRows[T Float](ks *kernels[T], dst []T, ldDst int, src []T, ldSrc, rows, cols int) {
	step := ks.strip / 2
	whole := cols - cols%step
	i := 0
	for ; whole > 0 && rows-i >= ks.strip; i += ks.strip {
		ks.transpose(whole/step, &src[i*ldSrc], ldSrc, &dst[i], ldDst)
		for r := i; whole < cols && r < i+ks.strip; r++ {
			transposeRow(dst[r:], ldDst, src[r*ldSrc:][:cols], whole)
		}
	}
	for ; i < rows; i++ {
		transposeRow(dst[i:], ldDst, src[i*ldSrc:][:cols], 0)
	}
}

// transposeRow writes the elements of row from the given one on into a column.
func transposeRow[T Float](dst []T, ldDst int, row []T, from int) {
	for j := from; j < len(row); j++ {
		dst[j*ldDst] = row[j]
	}
}
