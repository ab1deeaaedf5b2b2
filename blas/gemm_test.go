package blas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas"
)

func TestGemm(t *testing.T) {
	for name, impl := range sets() {
		t.Run(name+"/float32", func(t *testing.T) { testGemm(t, gemmOf[float32](impl)) })
		t.Run(name+"/float64", func(t *testing.T) { testGemm(t, gemmOf[float64](impl)) })
	}
}

func testGemm[T Float](t *testing.T, f gemmFunc[T]) {
	r := rand.New(rand.NewPCG(1, 2))
	alphas, betas := []T{1, 1, 0, -0.5, 2.5}, []T{0, 1, -0.5, 3}
	for range 700 {
		checkGemmCase(t, f, newGemmCase(r, randomOf(r, transposes...), randomOf(r, transposes...),
			randomSize(r), randomSize(r), randomSize(r), randomOf(r, 0, 0, 1, 3, 17),
			randomOf(r, alphas...), randomOf(r, betas...)))
	}
	// Every width and height of a tile at the edges, and a few blocks of each kind.
	for n := range 70 {
		checkGemmCase(t, f, newGemmCase[T](r, blas.NoTrans, blas.NoTrans, n%27, n, 1+n%9, n%2, 1, T(n%2)))
	}
	for _, s := range [][3]int{{160, 40, 300}, {13, 1100, 20}, {300, 290, 260}, {1, 700, 600}, {4, 65, 1000}, {3, 64, 512},
		{8, 40, 200}, {16, 9, 300}, {5, 71, 700}, {70, 8, 64}, {9, 7, 130}, {1, 1, 33}, {1, 300, 40}, {1, 290, 700}, {2, 5, 9}, {150, 33, 600}} {
		for _, tA := range transposes[:2] {
			for _, tB := range transposes[:2] {
				checkGemmCase(t, f, newGemmCase[T](r, tA, tB, s[0], s[1], s[2], 5, 1.5, 0.5))
			}
		}
	}
}

// randomSize prefers the small, and what is near the width of a tile.
func randomSize(r *rand.Rand) int {
	switch r.IntN(4) {
	case 0:
		return r.IntN(5)
	case 1:
		return randomOf(r, 8, 16, 32, 64) + r.IntN(3) - 1
	case 2:
		return r.IntN(40)
	}
	return r.IntN(130)
}

// checkGemmCase compares with a triple loop in float64 and with gonum, and looks
// at the guards.
func checkGemmCase[T Float](t *testing.T, f gemmFunc[T], g *gemmCase[T]) {
	t.Helper()
	what := fmt.Sprintf("%c%c %d×%d×%d ld %d %d %d alpha %v beta %v", g.tA, g.tB, g.m, g.n, g.k, g.lda, g.ldb, g.ldc, g.alpha, g.beta)
	got := g.run(f)
	theirs := g.run(gemmOf[T](reference))
	// alpha and beta round a little more; for float64 the loop rounds like us.
	unit := float64(g.k+3) * epsilon[T]()
	for at, v := range got {
		i, j := at/g.ldc, at%g.ldc
		if j >= g.n {
			if v != guard {
				t.Fatalf("%s: wrote %v to column %d of row %d", what, v, j, i)
			}
			continue
		}
		want, size := g.expect(i, j)
		if !(math.Abs(float64(v)-want) <= unit*size) {
			t.Fatalf("%s: element %d, %d is %v, want %v", what, i, j, v, want)
		}
		if !(math.Abs(float64(v)-float64(theirs[at])) <= 2*unit*size) {
			t.Fatalf("%s: element %d, %d is %v, gonum's %v", what, i, j, v, theirs[at])
		}
	}
}

// TestGemmSpecials: NaN and infinities come through as in a triple loop, from
// any place and past zeros.
func TestGemmSpecials(t *testing.T) {
	for name, impl := range sets() {
		if impl.single == nil {
			continue // gonum's rules
		}
		t.Run(name+"/float32", func(t *testing.T) { testGemmSpecials(t, gemmOf[float32](impl)) })
		t.Run(name+"/float64", func(t *testing.T) { testGemmSpecials(t, gemmOf[float64](impl)) })
	}
}

func testGemmSpecials[T Float](t *testing.T, f gemmFunc[T]) {
	r := rand.New(rand.NewPCG(3, 4))
	specials := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, 0}
	for range 300 {
		g := newGemmCase[T](r, randomOf(r, transposes...), randomOf(r, transposes...),
			1+randomSize(r), 1+randomSize(r), 1+randomSize(r), r.IntN(3), 1, randomOf[T](r, 0, 1))
		for range 4 {
			g.a[r.IntN(len(g.a))] = T(randomOf(r, specials...))
			g.b[r.IntN(len(g.b))] = T(randomOf(r, specials...))
		}
		got := g.run(f)
		for i := range g.m {
			for j := range g.n {
				want, _ := g.expect(i, j)
				v := float64(got[i*g.ldc+j])
				if special(want) != special(v) || math.IsInf(want, 0) && want != v {
					t.Fatalf("%c%c %d×%d×%d: element %d, %d is %v, want %v", g.tA, g.tB, g.m, g.n, g.k, i, j, v, want)
				}
			}
		}
	}
}

// special is 1 for NaN, 2 for an infinity and 0 for numbers.
func special(v float64) int {
	switch {
	case math.IsNaN(v):
		return 1
	case math.IsInf(v, 0):
		return 2
	}
	return 0
}

// TestGemmZeroAlpha: neither A nor B is read.
func TestGemmZeroAlpha(t *testing.T) {
	nan := math.NaN()
	a, b, c := []float64{nan}, []float64{nan, nan}, []float64{2, nan}
	impl := Implementation()
	if impl.double == nil {
		t.Skip("gonum's rules")
	}
	impl.Dgemm(blas.NoTrans, blas.NoTrans, 1, 2, 1, 0, a, 1, b, 2, 0, c, 2)
	if c[0] != 0 || c[1] != 0 {
		t.Errorf("C is %v, want zeros", c)
	}
}
