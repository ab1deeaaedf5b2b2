package blas

import "github.com/gorgonia-xlstm/xlstm/internal/cores"

const (
	// pieceWork is the least number of multiply-adds worth another core: about ten
	// microseconds.
	pieceWork = 1 << 19

	// pieceReads is the least number of elements of the larger operand worth
	// another core in scalar products, which are as slow as they are read.
	pieceReads = 1 << 16

	// piecesEach is how many pieces a goroutine gets where there is work for as
	// many: other programs may slow some of them down.
	piecesEach = 4
)

// grid is how C is cut into pieces: so many times down and across.
type grid struct{ rows, cols int }

func (g grid) pieces() int { return g.rows * g.cols }

// grid cuts the product into pieces. It may follow GOMAXPROCS since every element
// of C is computed alike in any piece.
func (p *product[T]) grid() grid {
	work := p.m * p.n * p.k / pieceWork
	if p.dots {
		work = max(work, max(p.m, p.n)*p.k/pieceReads)
	}
	if work < 2 {
		return grid{1, 1}
	}
	procs := cores.Procs()
	if procs == 1 {
		return grid{1, 1}
	}
	most, down, across := min(work, piecesEach*procs), units(p.m, p.kernels.tallest()), units(p.n, p.kernels.width)
	packA, packB := p.packing(p.m, p.n)
	switch {
	case p.dots && p.m >= p.n:
		return grid{min(most, down), 1}
	case p.dots, packB && !p.tall():
		return grid{1, min(most, across)} // each piece copies its own columns of B
	}
	return p.bestGrid(procs, most, down, across, packA)
}

// units is the number of parts of the given size in a length, the last of them
// perhaps smaller.
func units(length, size int) int { return (length + size - 1) / size }

// tall reports whether there are enough rows for a copy of B to be read several
// times, so that the goroutines should share one.
func (p *product[T]) tall() bool { return p.m > 4*p.kernels.tallest() }

// What reading an element costs a piece, in multiply-adds: where it is near
// already, and where it is copied first.
const (
	readCost = 4
	copyCost = 16
)

// bestGrid is the grid of at most most pieces, and of at most down by across,
// with the lowest estimate of the time until the last piece is done.
func (p *product[T]) bestGrid(procs, most, down, across int, packA bool) (best grid) {
	costA := readCost
	if packA {
		costA = copyCost
	}
	least := 0
	for cols := 1; cols <= min(across, most); cols++ {
		for each := 1; each <= piecesEach; each++ {
			g := grid{min(down, max(1, min(most, each*procs)/cols)), cols}
			rows, width := units(down, g.rows)*p.kernels.tallest(), units(across, g.cols)*p.kernels.width
			piece := rows*width + costA*rows + readCost*width
			// Somewhere in the last round a core is late, by part of a piece.
			if cost := (4*units(g.pieces(), procs) + 1) * piece; least == 0 || cost < least {
				best, least = g, cost
			}
		}
	}
	return best
}

// crew is the state that the goroutines of one product share.
type crew[T Float] struct {
	product[T]
	grid  grid
	piece func(q int) // does one: made once, so that starting allocates nothing

	// Where the goroutines share a copy of B, blockCols columns at a time are first
	// packed, then multiplied.
	phase  phase
	packed packedColumns[T] // in memory that is kept for the next product
	groups int              // of columns that are packed at a time
	packA  bool             // beside B
}

// phase is what pieces are pieces of.
type phase int

const (
	whole    phase = iota // the product
	packing               // the columns of B to be copied
	multiply              // the rows of C, times what was copied
)

func (ks *kernels[T]) takeCrew() *crew[T] {
	if c, ok := ks.crews.Get().(*crew[T]); ok {
		return c
	}
	c := new(crew[T])
	c.piece = c.work
	return c
}

// parallel computes the product in the pieces of a grid.
func (p *product[T]) parallel(g grid) {
	c := p.kernels.takeCrew()
	c.product, c.grid = *p, g
	packA, packB := p.packing(p.m, p.n)
	if packB && p.tall() && !p.dots {
		c.packA = packA
		c.together()
	} else {
		c.run(whole, g.pieces())
	}
	c.product = product[T]{} // the matrices are not ours to keep alive
	p.kernels.crews.Put(c)
}

// together computes the product with one copy of B for all.
func (c *crew[T]) together() {
	inner := units(c.k, innerStep(c.k, blockInner))
	for j := 0; j < c.n; j += blockCols {
		cols := min(blockCols, c.n-j)
		c.packed.hold(c.kernels, c.k, j, cols)
		c.groups = min(units(cols, c.kernels.width), units(c.grid.pieces(), inner))
		c.run(packing, inner*c.groups)
		c.run(multiply, c.grid.pieces())
	}
}

// run does all pieces of a phase.
func (c *crew[T]) run(what phase, pieces int) {
	c.phase = what
	cores.Run(pieces, c.piece)
}

// work does piece q.
func (c *crew[T]) work(q int) {
	switch c.phase {
	case whole:
		c.wholePiece(q)
	case packing:
		c.packPiece(q)
	case multiply:
		c.multiplyPiece(q)
	}
}

// share is part q of several of the given length, cut between units of the given
// size.
func share(q, parts, length, size int) (from, to int) {
	n := units(length, size)
	return n * q / parts * size, min(n*(q+1)/parts*size, length)
}

func (c *crew[T]) wholePiece(q int) {
	i0, i1 := share(q/c.grid.cols, c.grid.rows, c.m, c.kernels.tallest())
	j0, j1 := share(q%c.grid.cols, c.grid.cols, c.n, c.kernels.width)
	c.part(i0, i1, j0, j1)
}

func (c *crew[T]) packPiece(q int) {
	step := innerStep(c.k, blockInner)
	l := q / c.groups * step
	j0, j1 := share(q%c.groups, c.groups, c.packed.n, c.kernels.width)
	packBlock(c.kernels, c.packed.at(l, min(step, c.k-l), j0), c.b.from(l, c.packed.j+j0), min(step, c.k-l), j1-j0)
}

func (c *crew[T]) multiplyPiece(q int) {
	i0, i1 := share(q/c.grid.cols, c.grid.rows, c.m, c.kernels.tallest())
	j0, j1 := share(q%c.grid.cols, c.grid.cols, c.packed.n, c.kernels.width)
	if i0 == i1 || j0 == j1 {
		return
	}
	s := c.kernels.takeScratch()
	defer c.kernels.scratch.Put(s)
	c.strip(s, i0, i1, c.packed.j+j0, c.packed.j+j1, &c.packed, c.packA)
}
