package blas

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"gonum.org/v1/gonum/blas"
)

// largeCases are products that are done in pieces, one for each way to cut
// and to copy.
func largeCases[T Float]() []*gemmCase[T] {
	r := rand.New(rand.NewPCG(7, 8))
	return []*gemmCase[T]{
		newGemmCase[T](r, blas.NoTrans, blas.NoTrans, 333, 150, 270, 3, 1, 0.5),
		newGemmCase[T](r, blas.Trans, blas.NoTrans, 130, 335, 290, 0, 1, 0),
		newGemmCase[T](r, blas.NoTrans, blas.Trans, 1000, 36, 400, 1, -1, 1),
		newGemmCase[T](r, blas.Trans, blas.Trans, 50, 1500, 260, 0, 0.25, 1),
		newGemmCase[T](r, blas.NoTrans, blas.NoTrans, 3, 2100, 2100, 0, 1, 0),
		newGemmCase[T](r, blas.NoTrans, blas.Trans, 7, 1900, 1200, 3, 1, 0.5),
		newGemmCase[T](r, blas.NoTrans, blas.Trans, 15, 1023, 300, 0, 1, 0.5),
		newGemmCase[T](r, blas.NoTrans, blas.Trans, 2200, 5, 1000, 0, 1, 1),
		newGemmCase[T](r, blas.NoTrans, blas.NoTrans, 1, 2050, 2100, 0, 1, 1),
		newGemmCase[T](r, blas.Trans, blas.Trans, 1100, 1030, 20, 0, 1, 1),
		newGemmCase[T](r, blas.Trans, blas.NoTrans, 200, 150, 1100, 0, 1, 0.5),
	}
}

// TestSameForAnyGOMAXPROCS: not one bit depends on the number of cores, nor on
// the instruction set.
func TestSameForAnyGOMAXPROCS(t *testing.T) {
	t.Run("float32", testSameForAnyGOMAXPROCS[float32])
	t.Run("float64", testSameForAnyGOMAXPROCS[float64])
}

func testSameForAnyGOMAXPROCS[T Float](t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for at, g := range largeCases[T]() {
		// Our kernels agree with one another, gonum's with itself: in pieces, and
		// without.
		first := make(map[string][]T)
		for name, impl := range sets() {
			kind := "ours"
			if impl.single == nil {
				kind = fmt.Sprint("gonum's, serial ", impl.serial)
			}
			for _, procs := range []int{1, 2, 3, 7, 64} {
				runtime.GOMAXPROCS(procs)
				got := g.run(gemmOf[T](impl))
				if first[kind] == nil {
					first[kind] = got
				}
				if !slices.Equal(got, first[kind]) {
					t.Errorf("case %d: %s with GOMAXPROCS %d differs", at, name, procs)
				}
			}
		}
	}
}

func TestLargeInPieces(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	runtime.GOMAXPROCS(5)
	for _, impl := range sets() {
		for _, g := range largeCases[float32]() {
			checkGemmCase(t, gemmOf[float32](impl), g)
		}
	}
}

// TestPiecesCoverC: each row and column belongs to one piece, also when there
// are as many pieces as can be.
func TestPiecesCoverC(t *testing.T) {
	ks := bestSingle()
	if ks == nil {
		t.Skip("gonum's implementation")
	}
	r := rand.New(rand.NewPCG(9, 10))
	for range 50 {
		g := newGemmCase[float32](r, blas.NoTrans, blas.NoTrans, 1+r.IntN(90), 1+r.IntN(90), 1+r.IntN(9), 2, 1, 1)
		checkGemmCase(t, func(_, _ blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
			p := product[float32]{kernels: ks, m: m, n: n, k: k, alpha: alpha, beta: beta, a: newOperand(false, a, lda), b: newOperand(false, b, ldb), c: c, ldc: ldc}
			p.parallel(grid{1 + r.IntN(units(g.m, ks.tallest())), 1 + r.IntN(units(g.n, ks.width))})
		}, g)
	}
}

// TestConcurrentCalls: goroutines that share an implementation do not disturb
// one another.
func TestConcurrentCalls(t *testing.T) {
	impl := Implementation()
	cases := largeCases[float64]()
	r := rand.New(rand.NewPCG(11, 12))
	for range 20 {
		cases = append(cases, newGemmCase[float64](r, randomOf(r, transposes...), randomOf(r, transposes...),
			randomSize(r), randomSize(r), randomSize(r), 1, 1, 0.5))
	}
	var all sync.WaitGroup
	for _, g := range cases {
		want := g.run(impl.Dgemm)
		for range 3 {
			all.Add(1)
			go func() {
				defer all.Done()
				if !slices.Equal(g.run(impl.Dgemm), want) {
					t.Errorf("%d×%d×%d: a concurrent call differs", g.m, g.n, g.k)
				}
			}()
		}
	}
	all.Wait()
}

// TestNoAllocation: after the first call nothing is allocated, neither by a product
// in one piece nor by the pieces that goroutines share. One goroutine does them all
// here: how much memory several take depends on how many of them are at work at
// once, and what a pool gives back on which processor they run.
func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	ks := bestSingle()
	if ks == nil {
		t.Skip("gonum's implementation")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties pools
	for at, g := range largeCases[float32]() {
		for _, cut := range []grid{{1, 1}, {2, 1}, {1, 2}, {4, 2}} {
			allocations := testing.AllocsPerRun(10, func() {
				p := product[float32]{kernels: ks, m: g.m, n: g.n, k: g.k, alpha: g.alpha, beta: g.beta, c: g.c, ldc: g.ldc,
					a: operand[float32]{g.a, g.lda, 1}, b: operand[float32]{g.b, g.ldb, 1}}
				p.prepare(g.tA, g.tB)
				if cut.pieces() > 1 {
					p.parallel(cut)
				} else {
					p.run(true)
				}
			})
			if allocations > 0 {
				t.Errorf("case %d in %d×%d pieces: %v allocations a call", at, cut.rows, cut.cols, allocations)
			}
		}
	}
}
