package blas

// panels is a block of A or B cut into panels, as high or wide as a tile,
// which begin panel elements after one another.
type panels[T float] struct {
	operand[T]
	panel int
}

// scratch is the memory that blocks of A and B are copied to.
type scratch[T float] struct{ a, b []T }

func (ks *kernels[T]) takeScratch() *scratch[T] {
	if s, ok := ks.scratch.Get().(*scratch[T]); ok {
		return s
	}
	return new(scratch[T])
}

// grown is s with length n and any contents.
func grown[T float](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// packing says which operands to copy for a product that is m×n: those that
// are read often enough to pay for it. A transposed B has no choice: the kernels
// need its rows in one piece.
func (p *product[T]) packing(m, n int) (a, b bool) {
	const inCache = 8192 // elements: at most two first-level caches
	tallest := p.kernels.tallest()
	a = m > tallest && n > 4*p.kernels.width
	b = p.b.col != 1 || m > 4*tallest && p.k*p.b.row > inCache
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
	copyPanels(s.a, tallest, a.data, a.col, k, m)
	return panels[T]{operand[T]{s.a, 1, tallest}, tallest * k}
}

// packB copies the k×n block at the start of b.
func (s *scratch[T]) packB(ks *kernels[T], b operand[T], k, n int) panels[T] {
	w := ks.width
	s.b = grown(s.b, (n+w-1)/w*w*k)
	if b.col == 1 {
		copyPanels(s.b, w, b.data, b.row, k, n)
	} else {
		for j := 0; j < n; j += w {
			transposeRows(ks, s.b[j*k:], w, b.data[j*b.col:], b.col, min(w, n-j), k)
		}
	}
	return panels[T]{operand[T]{s.b, w, 1}, w * k}
}

// copyPanels cuts the k×n matrix src into panels w wide. It takes a few rows at
// a time through all panels, so as to read memory nearly in its order.
func copyPanels[T float](dst []T, w int, src []T, ldSrc, k, n int) {
	const rows = 8
	for p := 0; p < k; p += rows {
		for j := 0; j < n; j += w {
			copyRows(dst[j*k+p*w:], w, src[p*ldSrc+j:], ldSrc, min(rows, k-p), min(w, n-j))
		}
	}
}

// copyRows copies a rows×cols matrix.
func copyRows[T float](dst []T, ldDst int, src []T, ldSrc, rows, cols int) {
	for i := range rows {
		d, s := dst[i*ldDst:][:cols], src[i*ldSrc:][:cols]
		switch cols { // a copy of known length is much faster
		case 8:
			*(*[8]T)(d) = [8]T(s)
		case 12:
			*(*[12]T)(d) = [12]T(s)
		case 16:
			*(*[16]T)(d) = [16]T(s)
		case 32:
			*(*[32]T)(d) = [32]T(s)
		default:
			copy(d, s)
		}
	}
}

// transposeRows makes the rows of the rows×cols matrix src columns of dst.
func transposeRows[T float](ks *kernels[T], dst []T, ldDst int, src []T, ldSrc, rows, cols int) {
	step := ks.strip / 2
	whole := cols - cols%step
	i := 0
	for ; whole > 0 && rows-i >= ks.strip; i += ks.strip {
		ks.transpose(whole/step, &src[i*ldSrc], ldSrc, &dst[i], ldDst)
		for r := i; r < i+ks.strip; r++ {
			transposeRow(dst[r:], ldDst, src[r*ldSrc:][:cols], whole)
		}
	}
	for ; i < rows; i++ {
		transposeRow(dst[i:], ldDst, src[i*ldSrc:][:cols], 0)
	}
}

// transposeRow writes the elements of row from the given one on into a column.
func transposeRow[T float](dst []T, ldDst int, row []T, from int) {
	for j := from; j < len(row); j++ {
		dst[j*ldDst] = row[j]
	}
}
