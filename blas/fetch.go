package blas

import "unsafe"

// A fetcher tells the tiles of a block what memory to fetch into the second-level
// cache while they compute: the parts of A and B that are read next, which would
// otherwise come only when they are needed, while nothing is computed. What is fetched
// makes no difference to any result.
//
// Measured on Zen 4 with one core, as shares of the rate of multiply-adds in registers,
// without and with it: a transposed A of 4,096 rows of 512 with 128 columns of B, 80 and
// 87 % with AVX-512, 70 and 76 % with AVX2; of 768 with 384, 89 and 92 %, 88 and 90 %.
type fetcher[T Float] struct {
	parts [MostAhead]fetched[T]
	part  int // the one whose turn it is
	lines int // in a row of all parts together
	tiles int // that there will be
	due   int // lines that should have been fetched and were not, times tiles
}

// fetched is a part of a matrix: a tile fetches lines that are row elements apart, the
// next one those that are step elements further on, and so on up to end.
type fetched[T Float] struct {
	data           []T
	row, step, end int
	at             int // what is before it has been fetched
}

// MostAhead is how many parts of matrices can be fetched during one product, see
// GemmAhead.
const MostAhead = 5

// perLine is the number of elements in a line of a cache.
func perLine[T Float]() int {
	var x T
	return line / int(unsafe.Sizeof(x))
}

// add has the first cols elements of rows of data fetched, which are row apart.
func (f *fetcher[T]) add(data []T, row, cols int) { f.addPart(data, row, perLine[T](), cols) }

// addInOrder has the first n elements of data fetched, by tiles of k products.
func (f *fetcher[T]) addInOrder(data []T, n, k int) {
	f.addPart(data, perLine[T](), k*perLine[T](), n)
}

func (f *fetcher[T]) addPart(data []T, row, step, end int) {
	for i := range f.parts {
		if p := &f.parts[i]; p.end == 0 {
			p.data, p.row, p.step, p.end = data, row, step, end
			f.lines += (end + step - 1) / step
			return
		}
	}
}

// begin prepares for turns of so many tiles and reports whether there is anything to
// fetch.
func (f *fetcher[T]) begin(tiles int) bool {
	f.tiles = tiles
	return f.lines > 0
}

// turn returns where the next tile begins to fetch, nil for nowhere, and the distance to
// the next row: it fetches one line of each row, and the tiles that do are spread evenly
// among all.
func (f *fetcher[T]) turn() (ahead *T, row int) {
	if f.due += f.lines; f.due < f.tiles {
		return nil, 0
	}
	f.due = min(f.due-f.tiles, f.tiles) // no tile fetches more than one
	for ; f.part < len(f.parts); f.part++ {
		if p := &f.parts[f.part]; p.at < p.end {
			ahead, p.at = &p.data[p.at], p.at+p.step
			return ahead, p.row
		}
	}
	return nil, 0
}

// fetchA has the part of A fetched that is copied next: m rows from row i on, from
// column l on. It is left alone where it is stored in rows, which the processor
// fetches by itself.
func (p *product[T]) fetchA(next *fetcher[T], i, m, l int) {
	if p.a.col != 1 {
		next.add(p.a.data[i*p.a.row+l*p.a.col:], p.a.col, m)
	}
}

// fetchB does the same with n columns of B from column j on, from row l on.
func (p *product[T]) fetchB(next *fetcher[T], l, j, n int) {
	switch {
	case p.b.col == 1:
		next.add(p.b.data[l*p.b.row+j:], p.b.row, n)
	case p.b.col == p.k:
		// The columns are stored one after the other, and fetched whole.
		next.addInOrder(p.b.data[j*p.b.col:], n*p.k, innerStep(p.k, blockInner))
	}
}
