package blas

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/blas"
)

// lowerSizes are below, at and above those of tiles, strips and lowerNear.
var lowerSizes = []int{1, 5, 12, 16, 17, 33, 64, 70, 150, 256, 270}

// TestLowerTimes: the product is Gemm's with zeros above the diagonal, whatever is there
// beyond LowerAhead elements, and nothing is written beside it.
func TestLowerTimes(t *testing.T) {
	t.Run("float32", testLowerTimes[float32])
	t.Run("float64", testLowerTimes[float64])
}

func testLowerTimes[T Float](t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for name, impl := range sets() {
		for _, l := range lowerSizes {
			for _, n := range []int{1, 7, 40, 70} {
				for _, tA := range []blas.Transpose{blas.NoTrans, blas.Trans} {
					g := newGemmCase[T](r, tA, blas.NoTrans, l, n, l, 2, 0.5, randomOf[T](r, 0, 1))
					upperOf(g, 0, 0, l)
					want := g.run(gemmOf[T](impl.Serial()))
					upperOf(g, T(math.NaN()), LowerAhead, l)
					got := g.run(func(tA, _ blas.Transpose, m, n, _ int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
						LowerTimes(impl, tA, m, n, alpha, a, lda, b, ldb, beta, c, ldc)
					})
					if !alike(impl, got, want) {
						t.Errorf("%s: %c %d×%d is not Gemm's", name, tA, l, n)
					}
				}
			}
		}
	}
}

// upperOf sets the elements of A more than so far beyond the diagonal.
func upperOf[T Float](g *gemmCase[T], to T, beyond, l int) {
	for i := range l {
		for j := i + 1 + beyond; j < l; j++ {
			g.a[i*g.lda+j] = to
		}
	}
}

// alike reports whether two results are the same bits, or nearly the same if they are
// gonum's, which adds in another order. NaN is like NaN.
func alike[T Float](impl BLAS, got, want []T) bool {
	return slices.EqualFunc(got, want, func(x, y T) bool {
		return x == y || x != x && y != y || impl.single == nil && math.Abs(float64(x-y)) < 200*epsilon[T]()
	})
}

// TestLowerOf: the triangle is Gemm's but for rounding, the same bits with all kernels,
// and nothing is written beside the square.
func TestLowerOf(t *testing.T) {
	t.Run("float32", testLowerOf[float32])
	t.Run("float64", testLowerOf[float64])
}

func testLowerOf[T Float](t *testing.T) {
	for _, l := range lowerSizes {
		for _, k := range []int{1, 64, 130, blockInner + 1} {
			var first []T
			for name, impl := range sets() {
				g := newGemmCase[T](rand.New(rand.NewPCG(uint64(l), uint64(k))), blas.NoTrans, blas.Trans, l, l, k, 2, 0.5, 0)
				got := g.run(func(_, _ blas.Transpose, l, _, k int, alpha T, a []T, lda int, b []T, ldb int, _ T, c []T, ldc int) {
					LowerOf(impl, l, k, alpha, a, lda, b, ldb, c, ldc)
				})
				checkLowerOf(t, name, g, got)
				if impl.single == nil {
					continue
				}
				if first == nil {
					first = got
				}
				for i := range l {
					if !slices.Equal(got[i*g.ldc:][:i+1], first[i*g.ldc:][:i+1]) {
						t.Errorf("%s: row %d of %d×%d has other bits", name, i, l, k)
					}
				}
			}
		}
	}
}

// checkLowerOf compares the triangle with what it should be, and what is between the rows
// with what was there.
func checkLowerOf[T Float](t *testing.T, name string, g *gemmCase[T], got []T) {
	t.Helper()
	for i := range got {
		row, col := i/g.ldc, i%g.ldc
		switch {
		case col >= g.n:
			if got[i] != g.c[i] {
				t.Fatalf("%s: wrote beside row %d of %d×%d", name, row, g.n, g.k)
			}
		case col <= row:
			if want, size := g.expect(row, col); math.Abs(float64(got[i])-want) > float64(g.k+3)*epsilon[T]()*size {
				t.Fatalf("%s: element %d, %d of %d×%d is %g, want %g", name, row, col, g.n, g.k, float64(got[i]), want)
			}
		}
	}
}

// TestLowerNoAllocation: neither product allocates after the first call.
func TestLowerNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	if best[float32]() == nil {
		t.Skip("gonum's implementation")
	}
	g, impl := operands[float32](benchCase{"NN", 64, 64, 64, 1}), Implementation()
	if got := testing.AllocsPerRun(20, func() {
		LowerTimes(impl, blas.Trans, 64, 64, 1, g.a, g.lda, g.b, g.ldb, 1, g.c, g.ldc)
		LowerOf(impl, 64, 64, 1, g.a, g.lda, g.b, g.ldb, g.c, g.ldc)
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}
