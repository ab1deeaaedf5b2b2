package kernels

import (
	"sync"

	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// Parallel calls f(0) … f(n−1), spread over the cores. The calls must be
// independent of each other.
func Parallel(n int, f func(i int)) { cores.Run(n, f) }

// wakeWork is the number of multiply-adds from which on it is worth waking
// another core: about ten microseconds.
const wakeWork = 1 << 17

// parallelWork is Parallel for calls of so many multiply-adds each, all of them
// here if that is too little to share.
func parallelWork(n, each int, f func(i int)) {
	if n*each >= wakeWork {
		Parallel(n, f)
		return
	}
	for i := range n {
		f(i)
	}
}

// blockWork is the number of elements that is worth a goroutine.
const blockWork = 1 << 14

// alone reports whether so many elements are done by the caller: without a function for
// others, which takes memory.
func alone(elements int) bool { return elements <= blockWork }

// rowBlock returns how many rows of the given width make one piece of work.
func rowBlock(width int) int { return max(1, blockWork/max(1, width)) }

// ParallelRows calls f for consecutive blocks [lo,hi) of n rows, each of the
// given width; the blocks depend only on n and width.
func ParallelRows(n, width int, f func(lo, hi int)) {
	block := rowBlock(width)
	if n <= block {
		if n > 0 {
			f(0, n)
		}
		return
	}
	Parallel((n+block-1)/block, func(i int) { f(i*block, min(n, (i+1)*block)) })
}

// sumRows calls f for blocks of n rows like ParallelRows and gives each block a
// zeroed vector of len(dst) to add to; the vectors are added up in dst, which
// is overwritten, in the order of the blocks.
func sumRows[F Float](n, width int, dst []F, f func(lo, hi int, part []F)) {
	block := rowBlock(width)
	blocks := (n + block - 1) / block
	clear(dst)
	if blocks <= 1 {
		if n > 0 {
			f(0, n, dst)
		}
		return
	}
	parts, lent := scratch[F](blocks * len(dst))
	defer giveBack(lent)
	Parallel(blocks, func(i int) {
		part := parts[i*len(dst) : (i+1)*len(dst)]
		clear(part)
		f(i*block, min(n, (i+1)*block), part)
	})
	addParts(dst, parts)
}

// columnBlock is the least number of columns of a sum that make one piece of
// work: two lines of a cache.
const columnBlock = 32

// columnPieces is how many blocks of columns each core gets if there is work for as
// many.
const columnPieces = 2

// parallelColumns calls f for consecutive blocks [lo,hi) of the columns of n
// rows of the given width, blocks that are worth a goroutine and no narrower than
// the cores require, since wide ones are read faster. It must make no difference
// to a column which block it is in.
func parallelColumns(n, width int, f func(lo, hi int)) {
	each := width/(columnPieces*cores.Procs()) + columnBlock - 1
	block := max(columnBlock, max(rowBlock(n), each)/columnBlock*columnBlock)
	if width <= block {
		f(0, width)
		return
	}
	Parallel((width+block-1)/block, func(i int) { f(i*block, min(width, (i+1)*block)) })
}

// addParts adds consecutive vectors of len(dst) to dst, from first to last.
func addParts[F Float](dst, parts []F) {
	width := len(dst)
	parallelColumns(len(parts)/width, width, func(lo, hi int) {
		for at := 0; at < len(parts); at += width {
			vec.Axpy(dst[lo:hi], 1, parts[at+lo:at+hi])
		}
	})
}

// pools keep values for reuse: the first those for float32, the second for float64.
type pools [2]sync.Pool

func newPools[Single, Double any]() *pools {
	return &pools{{New: func() any { return new(Single) }}, {New: func() any { return new(Double) }}}
}

// poolOf returns the pool for F.
func poolOf[F Float](p *pools) *sync.Pool {
	var zero F
	if _, ok := any(zero).(float32); ok {
		return &p[0]
	}
	return &p[1]
}

var scratchPools = newPools[[]float32, []float64]()

// scratch returns n elements of undefined content, and what giveBack takes to use
// their memory again.
func scratch[F Float](n int) ([]F, *[]F) {
	p := poolOf[F](scratchPools).Get().(*[]F)
	if cap(*p) < n {
		*p = make([]F, n)
	}
	return (*p)[:n], p
}

func giveBack[F Float](p *[]F) { poolOf[F](scratchPools).Put(p) }
