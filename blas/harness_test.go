package blas

import (
	"maps"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// gemmFunc and gemvFunc are Sgemm or Dgemm and Sgemv or Dgemv.
type (
	gemmFunc[T Float] func(tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int)
	gemvFunc[T Float] func(tA blas.Transpose, m, n int, alpha T, a []T, lda int, x []T, incX int, beta T, y []T, incY int)
)

// gemmOf and gemvOf pick an implementation's functions for the type T.
func gemmOf[T Float](impl blas32And64) gemmFunc[T] {
	var f any = gemmFunc[float32](impl.Sgemm)
	if g, ok := f.(gemmFunc[T]); ok {
		return g
	}
	return any(gemmFunc[float64](impl.Dgemm)).(gemmFunc[T])
}

func gemvOf[T Float](impl blas32And64) gemvFunc[T] {
	var f any = gemvFunc[float32](impl.Sgemv)
	if g, ok := f.(gemvFunc[T]); ok {
		return g
	}
	return any(gemvFunc[float64](impl.Dgemv)).(gemvFunc[T])
}

type blas32And64 interface {
	blas.Float32
	blas.Float64
}

var reference = gonum.Implementation{}

func epsilon[T Float]() float64 {
	if T(1)+T(1)/(1<<40) == 1 {
		return 1.0 / (1 << 23)
	}
	return 1.0 / (1 << 52)
}

// guard fills what no function may touch, or read where it matters.
const guard = 12345

// gemmCase is the arguments of a product, with slices as short as allowed
// or longer.
type gemmCase[T Float] struct {
	tA, tB        blas.Transpose
	m, n, k       int
	alpha, beta   T
	a, b, c       []T
	lda, ldb, ldc int
}

func (g *gemmCase[T]) run(f gemmFunc[T]) []T {
	c := append([]T(nil), g.c...)
	f(g.tA, g.tB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.beta, c, g.ldc)
	return c
}

// call is run into the case's own C.
func (g *gemmCase[T]) call(f gemmFunc[T]) {
	f(g.tA, g.tB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.beta, g.c, g.ldc)
}

// newGemmCase makes random matrices whose rows are gap elements apart. Between
// the rows of A and B lie NaNs, between those of C guards.
func newGemmCase[T Float](r *rand.Rand, tA, tB blas.Transpose, m, n, k, gap int, alpha, beta T) *gemmCase[T] {
	g := &gemmCase[T]{tA: tA, tB: tB, m: m, n: n, k: k, alpha: alpha, beta: beta}
	nan := T(math.NaN())
	aRows, aCols := stored(tA != blas.NoTrans, m, k)
	bRows, bCols := stored(tB != blas.NoTrans, k, n)
	g.a, g.lda = randomMatrix(r, aRows, aCols, gap, nan)
	g.b, g.ldb = randomMatrix(r, bRows, bCols, gap, nan)
	g.c, g.ldc = randomMatrix[T](r, m, n, gap, guard)
	if beta == 0 {
		for i := range m {
			for j := range n {
				g.c[i*g.ldc+j] = nan
			}
		}
	}
	return g
}

func randomMatrix[T Float](r *rand.Rand, rows, cols, gap int, between T) ([]T, int) {
	ld := max(1, cols+gap)
	x := make([]T, max(0, (rows-1)*ld+cols))
	for i := range x {
		x[i] = between
		if i%ld < cols {
			x[i] = T(r.Float64()*2 - 1)
		}
	}
	return x, ld
}

// expect is what element (i, j) of C should be and the sum of |alpha·a·b| and
// |beta·c|.
func (g *gemmCase[T]) expect(i, j int) (value, size float64) {
	a, b := newOperand(g.tA != blas.NoTrans, g.a, g.lda), newOperand(g.tB != blas.NoTrans, g.b, g.ldb)
	if g.beta != 0 {
		value = float64(g.beta) * float64(g.c[i*g.ldc+j])
		size = math.Abs(value)
	}
	for p := range g.k {
		v := float64(g.alpha) * float64(a.data[i*a.row+p*a.col]) * float64(b.data[p*b.row+j*b.col])
		value, size = value+v, size+math.Abs(v)
	}
	return value, size
}

// sets are the implementations to be tested on this machine, by name.
func sets() map[string]BLAS {
	all := map[string]BLAS{"best": Implementation(), "gonum": {}}
	addForced(all)
	for name, impl := range maps.Clone(all) {
		all[name+" serial"] = impl.Serial()
	}
	return all
}

func randomOf[E any](r *rand.Rand, choices ...E) E { return choices[r.IntN(len(choices))] }

var transposes = []blas.Transpose{blas.NoTrans, blas.Trans, blas.ConjTrans}
