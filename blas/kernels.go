package blas

import "sync"

// Float is the type of a matrix element.
type Float interface{ float32 | float64 }

// A tileKernel computes an h×n tile of C, h being its height,
//
//	C = alpha·A·B + beta·C
//
// with k ≥ 1 products for each element, added in turn. Element (i, p) of A is
// at i·aRow + p·aCol, element (p, j) of B at p·bRow + j. Nothing else is touched.
type tileKernel[T Float] func(k int, a *T, aRow, aCol int, b *T, bRow int, c *T, cRow, n int, alpha, beta T)

// A fetchingKernel is a tileKernel that, with each product, fetches the line of a
// cache at ahead into the second-level cache and moves ahead on by aheadRow elements.
type fetchingKernel[T Float] func(k int, a *T, aRow, aCol int, b *T, bRow int, c *T, cRow, n int, alpha, beta T, ahead *T, aheadRow int)

// A panelKernel computes one row of C from one row of A and several panels of B, each
// as wide as a tile, that lie bPanel elements apart. For one row, a tile is too narrow
// to give the processor enough to do at a time.
type panelKernel[T Float] func(k int, a *T, aCol int, b *T, bPanel int, c *T, alpha, beta T)

// A sumKernel computes a tile of one row of C from sumBlocks rows of A, aBlock elements
// apart, and as many panels of B, bBlock elements apart, as if their products were
// computed and added to C one after the other.
type sumKernel[T Float] func(k int, a *T, aBlock, aCol int, b *T, bBlock int, c *T, alpha, beta T)

// sumBlocks is the number of products that a sumKernel adds up.
const sumBlocks = 4

// height is the kernels for tiles with one number of rows.
type height[T Float] struct {
	rows   int
	full   tileKernel[T] // n is the width of a tile
	wide   tileKernel[T] // n is at most that
	narrow tileKernel[T] // n is at most half of it
}

// A dotKernel computes scalar products of some rows of A with some rows of B,
//
//	C = alpha·A·Bᵀ + beta·C
type dotKernel[T Float] func(k int, a *T, aRow int, b *T, bRow int, c *T, cRow int, alpha, beta T)

// A turnKernel computes the scalar products of a vector with n ≥ 1 rows of B one after
// the other, c = alpha·B·a + beta·c.
type turnKernel[T Float] func(n, k int, a, b *T, bRow int, c *T, alpha, beta T)

// dots is the kernels for scalar products with one number of rows of A.
type dots[T Float] struct {
	rows  int
	strip []dotStrip[T] // the most rows of B first, down to 1, or for one row of A to inTurn
}

type dotStrip[T Float] struct {
	cols   int
	kernel dotKernel[T]
}

// kernels is what one instruction set does for one type. All sets round
// alike: which of them, or which height or width, computes an element makes no
// difference to it.
type kernels[T Float] struct {
	name    string      // of the instruction set
	width   int         // of a tile, in columns
	heights []height[T] // the greatest first, down to 1

	fetching fetchingKernel[T] // for the greatest height and a full tile, nil for none

	row tileKernel[T] // for one row and rowTiles widths of a tile

	// panels are for one row and two, three and four panels of a copied B, nil for none.
	panels []panelKernel[T]

	sums sumKernel[T] // nil for none

	// transpose makes the columns of the first `strip` rows of src rows of dst,
	// steps times strip/2 of them.
	transpose func(steps int, src *T, srcRow int, dst *T, dstRow int)
	strip     int

	// copyA and copyB copy rows as long as a tile is high, or wide, to where they
	// follow one another.
	copyA, copyB func(rows int, src *T, srcRow int, dst *T)

	dots   []dots[T]      // the most rows first, down to 1
	inTurn turnKernel[T]  // nil if the strips of dots for one row go down to 1
	ahead  aheadKernel[T] // nil for none

	scratch sync.Pool // of *scratch[T]
	crews   sync.Pool // of *crew[T]
}

// rowTiles is the width of the row kernel, in tiles.
const rowTiles = 4

// kernel is the one for n columns.
func (h *height[T]) kernel(n, width int) tileKernel[T] {
	switch {
	case n == width:
		return h.full
	case 2*n > width:
		return h.wide
	}
	return h.narrow
}

// tallest is the greatest height of a tile.
func (ks *kernels[T]) tallest() int { return ks.heights[0].rows }

// best is the fastest kernels for T that this machine can run, nil for none.
func best[T Float]() *kernels[T] {
	if ks, ok := any(bestSingle()).(*kernels[T]); ok {
		return ks
	}
	return any(bestDouble()).(*kernels[T])
}
