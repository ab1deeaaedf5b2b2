package blas

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// pieceWork is the least number of multiply-adds worth a goroutine: about
// forty microseconds.
const pieceWork = 2 << 20

// pieces is into how many pieces to cut the product. It may follow GOMAXPROCS
// since every element of C is computed alike in any piece.
func (p *product[T]) pieces() int {
	work := p.m * p.n * p.k / pieceWork
	if work < 2 {
		return 1
	}
	units, _ := p.cut()
	return min(work, units, runtime.GOMAXPROCS(0))
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
	next   atomic.Int64
	done   sync.WaitGroup
	join   func() // work and then done: made once, so that starting allocates nothing
}

func (ks *kernels[T]) takeCrew() *crew[T] {
	if c, ok := ks.crews.Get().(*crew[T]); ok {
		return c
	}
	c := new(crew[T])
	c.join = func() {
		defer c.done.Done()
		c.work()
	}
	return c
}

// parallel computes the product in the given number of pieces, one of them
// here.
func (p *product[T]) parallel(pieces int) {
	c := p.kernels.takeCrew()
	c.product, c.pieces = *p, pieces
	c.next.Store(0)
	c.done.Add(pieces - 1)
	for range pieces - 1 {
		go c.join()
	}
	c.work()
	c.done.Wait()
	c.product = product[T]{} // the matrices are not ours to keep alive
	p.kernels.crews.Put(c)
}

// work computes pieces until none is left.
func (c *crew[T]) work() {
	units, size := c.cut()
	for {
		q := int(c.next.Add(1)) - 1
		if q >= c.pieces {
			return
		}
		from, to := units*q/c.pieces*size, units*(q+1)/c.pieces*size
		if c.m >= c.n {
			c.part(from, min(to, c.m), 0, c.n)
		} else {
			c.part(0, c.m, from, min(to, c.n))
		}
	}
}
