package blas

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"gonum.org/v1/gonum/blas"
)

func TestGemv(t *testing.T) {
	for name, impl := range sets() {
		t.Run(name+"/float32", func(t *testing.T) { testGemv(t, gemvOf[float32](impl)) })
		t.Run(name+"/float64", func(t *testing.T) { testGemv(t, gemvOf[float64](impl)) })
	}
}

func testGemv[T Float](t *testing.T, f gemvFunc[T]) {
	r := rand.New(rand.NewPCG(5, 6))
	for at := range 1000 {
		tA, m, n := randomOf(r, transposes...), randomSize(r), randomSize(r)
		if at%100 == 0 { // several pieces or blocks
			m, n = 500+randomSize(r), 600+randomSize(r)
		}
		a, lda := randomMatrix(r, m, n, r.IntN(4), T(math.NaN()))
		lenY, lenX := stored(tA != blas.NoTrans, m, n)
		incX, incY := randomOf(r, 1, 1, 2, -1, 3), randomOf(r, 1, 1, 2, -3)
		x, _ := randomMatrix[T](r, lenX, 1, abs(incX)-1, guard)
		y, _ := randomMatrix[T](r, lenY, 1, abs(incY)-1, guard)
		alpha, beta := randomOf[T](r, 1, 0, -0.5), randomOf[T](r, 0, 1, 2)
		want := append([]T(nil), y...)
		gemvOf[T](reference)(tA, m, n, alpha, a, lda, x, incX, beta, want, incY)
		if beta == 0 && incY > 0 && m > 0 && n > 0 {
			for i := 0; i < len(y); i += incY {
				y[i] = T(math.NaN())
			}
		}
		f(tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
		for i := range y {
			if !(math.Abs(float64(y[i])-float64(want[i])) <= 2*epsilon[T]()*float64(lenX+3)*float64(lenX+3)) {
				t.Fatalf("%c %d×%d inc %d %d alpha %v beta %v: y[%d] is %v, gonum's %v", tA, m, n, incX, incY, alpha, beta, i, y[i], want[i])
			}
		}
	}
}

// TestGemvSameForAnyGOMAXPROCS: not one bit depends on the number of cores, nor on
// the instruction set.
func TestGemvSameForAnyGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	r := rand.New(rand.NewPCG(15, 16))
	const m, n = 2050, 1107
	a, lda := randomMatrix[float32](r, m, n, 3, 0)
	x, _ := randomMatrix[float32](r, m, 1, 0, 0)
	for _, tA := range transposes[:2] {
		first := make(map[bool][]float32)
		for name, impl := range sets() {
			ours := impl.single != nil
			for _, procs := range []int{1, 2, 5} {
				runtime.GOMAXPROCS(procs)
				y := make([]float32, m)
				impl.Sgemv(tA, m, n, 1, a, lda, x, 1, 0, y, 1)
				if first[ours] == nil {
					first[ours] = y
				}
				if !slices.Equal(y, first[ours]) {
					t.Errorf("%c: %s with GOMAXPROCS %d differs", tA, name, procs)
				}
			}
		}
	}
}

func abs(i int) int { return max(i, -i) }
