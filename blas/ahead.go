package blas

import "unsafe"

// An aheadKernel is a dotKernel for aheadTile rows of A and of B, which, while it
// computes, fetches memory from ahead on: with every 64 bytes of a row two lines of
// a cache, after which it moves on by aheadStep elements.
type aheadKernel[T Float] func(k int, a *T, aRow int, b *T, bRow int, c *T, cRow int, alpha, beta T, ahead *T, aheadStep int)

const aheadTile = 4

// line is the size in bytes of a line of a cache.
const line = 64

// fetchedFrom is the number of elements from which on B is fetched ahead: half of a
// second-level cache.
const fetchedFrom = 1 << 17

// fetchesAhead reports whether scalar products of the given rows of A with the given
// columns of B are computed as farProducts does.
func (p *product[T]) fetchesAhead(rows, cols int) bool {
	return p.kernels.ahead != nil && rows >= aheadTile && cols >= aheadTile && p.n*p.k >= fetchedFrom
}

// farProducts computes rows i0 to i1 and columns j0 to j1 of C, fetching the next
// columns of B in the order of memory while it computes with some: taken as they are
// needed, in several streams, they come more slowly.
//
// Measured on two cores of a Zen 4 with B in memory, in GFLOP/s without and with it:
// 112 and 130 for 16 rows, k = 1024; 75 and 135 for 16 and 384; 53 and 95 for 8 and
// 384. Fetching into the first-level cache, where k = 1024 or 2048 lets all rows fall
// on the same places, was slower than nothing.
func (p *product[T]) farProducts(i0, i1, j0, j1 int) {
	tiles := (i1 - i0) / aheadTile
	// The tiles of some columns fetch the next ones together, a part each.
	step := line * max(1, aheadTile/tiles) / int(unsafe.Sizeof(p.alpha))
	part := aheadTile * p.k / tiles
	j := j0
	for ; j1-j >= aheadTile; j += aheadTile {
		b, next, i := &p.b.data[j*p.b.col], p.b.data[j*p.b.col:], i0
		if j1-j > aheadTile {
			next = p.b.data[(j+aheadTile)*p.b.col:]
		}
		for t := range tiles {
			p.kernels.ahead(p.k, &p.a.data[i*p.a.row], p.a.row, b, p.b.col, &p.c[i*p.ldc+j], p.ldc, p.alpha, p.beta, &next[min(t*part, len(next)-1)], step)
			i += aheadTile
		}
		p.dotStrip(i, i1, j, j+aheadTile)
	}
	p.dotStrip(i0, i1, j, j1)
}
