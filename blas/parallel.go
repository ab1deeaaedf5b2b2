package blas

import (
	"runtime"

	"github.com/gorgonia-xlstm/xlstm/internal/cores"
)

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

// pieces is into how many pieces to cut the product. It may follow GOMAXPROCS
// since every element of C is computed alike in any piece.
func (p *product[T]) pieces() int {
	work := p.m * p.n * p.k / pieceWork
	if p.dots {
		work = max(work, max(p.m, p.n)*p.k/pieceReads)
	}
	if work < 2 {
		return 1
	}
	units, _ := p.cut()
	if procs := runtime.GOMAXPROCS(0); procs > 1 {
		return min(work, units, piecesEach*procs)
	}
	return 1
}

// cut is the number and the size of the parts that the longer side of C can
// be cut into.
func (p *product[T]) cut() (units, size int) {
	if p.m >= p.n {
		size = p.kernels.tallest()
		return (p.m + size - 1) / size, size
	}
	size = p.kernels.width
	return (p.n + size - 1) / size, size
}

// crew is the state that the goroutines of one product share.
type crew[T Float] struct {
	product[T]
	pieces int
	piece  func(q int) // does one: made once, so that starting allocates nothing

	// Where B is copied, that is done together, blockCols columns at a time: first
	// they are packed, then multiplied.
	phase  phase
	j      int  // the first column
	cols   int  // and how many
	packA  bool // beside B
	packed []T  // what was packed, in memory that is kept for the next product
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

// parallel computes the product in the given number of pieces.
func (p *product[T]) parallel(pieces int) {
	c := p.kernels.takeCrew()
	c.product, c.pieces = *p, pieces
	packA, packB := p.packing(p.m, p.n)
	if packB && p.m >= p.n && !p.dots {
		c.packA = packA
		c.together()
	} else {
		if packA || packB { // each piece copies for itself
			c.pieces = min(pieces, runtime.GOMAXPROCS(0))
		}
		c.run(whole)
	}
	c.product = product[T]{} // the matrices are not ours to keep alive
	p.kernels.crews.Put(c)
}

// together computes the product with one copy of B for all.
func (c *crew[T]) together() {
	for c.j = 0; c.j < c.n; c.j += blockCols {
		c.cols = min(blockCols, c.n-c.j)
		c.packed = grown(c.packed, c.k*c.kernels.wide(c.cols))
		c.run(packing)
		c.run(multiply)
	}
}

// run does all pieces of a phase.
func (c *crew[T]) run(what phase) {
	c.phase = what
	cores.Run(c.pieces, c.piece)
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

// share is the part of the given length that is piece q, cut between units of
// the given size.
func (c *crew[T]) share(q, length, size int) (from, to int) {
	units := (length + size - 1) / size
	return units * q / c.pieces * size, min(units*(q+1)/c.pieces*size, length)
}

func (c *crew[T]) wholePiece(q int) {
	_, size := c.cut()
	if c.m >= c.n {
		from, to := c.share(q, c.m, size)
		c.part(from, to, 0, c.n)
	} else {
		from, to := c.share(q, c.n, size)
		c.part(0, c.m, from, to)
	}
}

func (c *crew[T]) packPiece(q int) {
	if from, to := c.share(q, c.cols, c.kernels.width); from < to {
		packPanels(c.kernels, c.packed, c.b.from(0, c.j), c.k, c.cols, from, to)
	}
}

func (c *crew[T]) multiplyPiece(q int) {
	from, to := c.share(q, c.m, c.kernels.tallest())
	s := c.kernels.takeScratch()
	defer c.kernels.scratch.Put(s)
	c.strip(s, from, to, c.j, c.cols, c.packed, c.packA)
}
