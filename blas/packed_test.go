package blas

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"gonum.org/v1/gonum/blas"
)

// packedGemm is Gemm of a Packed for the kernels of impl, in the form of Sgemm. The
// Packed is used again and again.
func packedGemm[T Float](impl BLAS) gemmFunc[T] {
	var p Packed[T]
	return func(tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
		p.pack(kernelsOf[T](impl), tB, k, n, b, ldb)
		p.Gemm(tA, m, alpha, a, lda, beta, c, ldc)
	}
}

func TestPacked(t *testing.T) {
	for name, impl := range sets() {
		t.Run(name+"/float32", func(t *testing.T) { testGemm(t, packedGemm[float32](impl)) })
		t.Run(name+"/float64", func(t *testing.T) { testGemm(t, packedGemm[float64](impl)) })
	}
}

func TestPackedSpecials(t *testing.T) {
	for name, impl := range sets() {
		if impl.single == nil {
			continue // gonum's rules
		}
		t.Run(name+"/float32", func(t *testing.T) { testGemmSpecials(t, packedGemm[float32](impl)) })
		t.Run(name+"/float64", func(t *testing.T) { testGemmSpecials(t, packedGemm[float64](impl)) })
	}
}

// TestPackedSameAsSgemm: with our kernels not one bit differs, whatever the
// instruction set, where Sgemm does not take scalar products.
func TestPackedSameAsSgemm(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	for range 100 {
		g := newGemmCase[float32](r, randomOf(r, transposes...), randomOf(r, transposes...),
			17+r.IntN(60), 9+r.IntN(200), 1+r.IntN(1200), r.IntN(3), 1.5, randomOf[float32](r, 0, 0.5))
		for name, impl := range sets() {
			if impl.single == nil {
				continue
			}
			if !slices.Equal(g.run(packedGemm[float32](impl)), g.run(impl.Sgemm)) {
				t.Fatalf("%s: %c%c %d×%d×%d differs", name, g.tA, g.tB, g.m, g.n, g.k)
			}
		}
	}
}

// TestPackedRowSameAsRows: a row has the same bits alone, where panels are taken several
// at a time, as among others.
func TestPackedRowSameAsRows(t *testing.T) {
	for name, impl := range sets() {
		if impl.single != nil {
			t.Run(name+"/float32", func(t *testing.T) { testPackedRow[float32](t, impl) })
			t.Run(name+"/float64", func(t *testing.T) { testPackedRow[float64](t, impl) })
		}
	}
}

func testPackedRow[T Float](t *testing.T, impl BLAS) {
	r := rand.New(rand.NewPCG(41, 42))
	for n := 1; n < 330; n += 1 + r.IntN(8) {
		g := newGemmCase[T](r, randomOf(r, transposes...), randomOf(r, transposes...), 13, n, 1+r.IntN(600), r.IntN(3), 1.5, randomOf[T](r, 0, 0.5))
		c, gemm := slices.Clone(g.c), packedGemm[T](impl)
		for i := range g.m {
			row := newOperand(isTrans(g.tA), g.a, g.lda).from(i, 0)
			gemm(g.tA, g.tB, 1, n, g.k, g.alpha, row.data, g.lda, g.b, g.ldb, g.beta, c[i*g.ldc:], g.ldc)
		}
		if !slices.Equal(c, g.run(gemm)) {
			t.Fatalf("%c%c %d×%d: rows alone differ", g.tA, g.tB, n, g.k)
		}
	}
}

// TestPackedInSteps: the product of a matrix packed in steps has the bits of those of its
// steps, added one after the other, for many rows and for each alone, in both directions.
func TestPackedInSteps(t *testing.T) {
	for name, impl := range sets() {
		if impl.single != nil {
			t.Run(name+"/float32", func(t *testing.T) { testPackedInSteps[float32](t, impl) })
			t.Run(name+"/float64", func(t *testing.T) { testPackedInSteps[float64](t, impl) })
		}
	}
}

func testPackedInSteps[T Float](t *testing.T, impl BLAS) {
	r := rand.New(rand.NewPCG(43, 44))
	for at := range 200 {
		step, steps, last := 1+r.IntN(80), 4, 0
		if at%2 == 0 {
			steps = 1 + r.IntN(6)
			last = r.IntN(step)
		}
		g := newGemmCase[T](r, randomOf(r, transposes...), randomOf(r, transposes...), 13, 1+r.IntN(200), steps*step+last, r.IntN(3), 1.5, randomOf[T](r, 0, 0.5))
		want, beta := slices.Clone(g.c), g.beta
		a, b := newOperand(isTrans(g.tA), g.a, g.lda), newOperand(isTrans(g.tB), g.b, g.ldb)
		for l := 0; l < g.k; l += step {
			packedGemm[T](impl)(g.tA, g.tB, g.m, g.n, min(step, g.k-l), g.alpha, a.from(0, l).data, g.lda, b.from(l, 0).data, g.ldb, beta, want, g.ldc)
			beta = 1
		}
		var p Packed[T]
		p.packInSteps(kernelsOf[T](impl), g.tB, g.k, g.n, step, g.b, g.ldb)
		for _, gemm := range []func(blas.Transpose, int, T, []T, int, T, []T, int){p.Gemm, p.GemmReversed} {
			c := slices.Clone(g.c)
			gemm(g.tA, g.m, g.alpha, g.a, g.lda, g.beta, c, g.ldc)
			if !slices.Equal(c, want) {
				t.Fatalf("%c%c %d×%d in steps of %d: differs", g.tA, g.tB, g.n, g.k, step)
			}
			copy(c, g.c)
			for i := range g.m {
				gemm(g.tA, 1, g.alpha, a.from(i, 0).data, g.lda, g.beta, c[i*g.ldc:], g.ldc)
			}
			if !slices.Equal(c, want) {
				t.Fatalf("%c%c %d×%d in steps of %d: rows alone differ", g.tA, g.tB, g.n, g.k, step)
			}
		}
	}
}

// TestPackedConcurrent: goroutines that share a Packed do not disturb one another.
func TestPackedConcurrent(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	g := newGemmCase[float32](r, blas.NoTrans, blas.Trans, 8, 256, 64, 0, 1, 0.5)
	var p Packed[float32]
	p.Pack(g.tB, g.k, g.n, g.b, g.ldb)
	once := func() []float32 {
		c := slices.Clone(g.c)
		p.Gemm(g.tA, g.m, g.alpha, g.a, g.lda, g.beta, c, g.ldc)
		return c
	}
	want := once()
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 50 {
				if !slices.Equal(once(), want) {
					t.Error("a concurrent call differs")
				}
			}
		}()
	}
	all.Wait()
}

// TestPackedNoAllocation: Gemm never allocates, Pack not for what fits.
func TestPackedNoAllocation(t *testing.T) {
	if best[float32]() == nil {
		t.Skip("gonum's implementation")
	}
	r := rand.New(rand.NewPCG(21, 22))
	var p Packed[float32]
	for _, k := range []int{900, 30} {
		g := newGemmCase[float32](r, blas.NoTrans, blas.Trans, 8, 130, k, 0, 1, 0.5)
		p.Pack(g.tB, g.k, g.n, g.b, g.ldb)
		if got := testing.AllocsPerRun(20, func() {
			p.Pack(g.tB, g.k, g.n, g.b, g.ldb)
			p.Gemm(g.tA, g.m, g.alpha, g.a, g.lda, g.beta, g.c, g.ldc)
		}); got > 0 {
			t.Errorf("%v allocations", got)
		}
	}
}

// TestPackedChecks: what Sgemm refuses is refused in the same words.
func TestPackedChecks(t *testing.T) {
	few := []int{-1, 0, 1, 3}
	impl := Implementation()
	for at := range 1 << 16 {
		pick := func(bit int) int { return few[at>>(2*bit)&3] }
		m, n, k, lda, ldb, ldc := pick(0), pick(1), pick(2), pick(3), pick(4), pick(5)
		short := 3*pick(6) + pick(7)/2
		a, b, c := make([]float32, max(0, short)), make([]float32, max(0, 9-short)), make([]float32, 7)
		want := panicOf(func() { impl.Sgemm(blas.Trans, blas.NoTrans, m, n, k, 1, a, lda, b, ldb, 1, c, ldc) })
		got := panicOf(func() { packedGemm[float32](impl)(blas.Trans, blas.NoTrans, m, n, k, 1, a, lda, b, ldb, 1, c, ldc) })
		// Pack sees B alone, and first.
		if (got == "") != (want == "") && !(want == "" && m == 0 && got == shortB) {
			t.Fatalf("m %d n %d k %d, ld %d %d %d: panic %q, Sgemm's %q", m, n, k, lda, ldb, ldc, got, want)
		}
	}
	for _, tX := range []blas.Transpose{0, 'X'} {
		var p Packed[float32]
		if got := panicOf(func() { p.Pack(tX, 1, 1, []float32{1}, 1) }); got != badTranspose {
			t.Errorf("Pack: panic %q", got)
		}
		if got := panicOf(func() { p.Gemm(tX, 1, 1, nil, 1, 0, nil, 1) }); got != badTranspose {
			t.Errorf("Gemm: panic %q", got)
		}
	}
}

// TestPackedZero: the zero Packed is a matrix without elements.
func TestPackedZero(t *testing.T) {
	var p Packed[float64]
	if k, n := p.Dims(); k != 0 || n != 0 {
		t.Errorf("%d×%d", k, n)
	}
	p.Gemm(blas.NoTrans, 3, 1, nil, 1, 0, nil, 1)
	p.Pack(blas.NoTrans, 0, 2, nil, 2)
	c := []float64{math.NaN(), math.NaN()}
	p.Gemm(blas.NoTrans, 1, 1, nil, 1, 0, c, 2)
	if c[0] != 0 || c[1] != 0 {
		t.Errorf("C is %v, want zeros", c)
	}
}
