package blas

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas"
)

// benchCase is a product, with rows times as far apart as they are long.
type benchCase struct {
	form    string // N or T for A and for B
	m, n, k int
	apart   int
}

// squareCases are squares.
func squareCases() (all []benchCase) {
	for _, n := range []int{8, 16, 32, 64, 128, 256, 512, 1024} {
		all = append(all, benchCase{"NN", n, n, n, 1})
	}
	return all
}

// headCases are the products of a chunk of one head of the mLSTM, alone and as a
// slice of a matrix of four heads.
func headCases() (all []benchCase) {
	for _, form := range []string{"NN", "NT", "TN"} {
		for _, apart := range []int{1, 4} {
			for _, s := range [][3]int{{64, 64, 64}, {64, 128, 64}, {64, 128, 128}, {128, 128, 64}, {64, 192, 192}, {192, 192, 64}} {
				all = append(all, benchCase{form, s[0], s[1], s[2], apart})
			}
		}
	}
	return all
}

// stepCases are the products of a training step: forward, gradients of inputs,
// gradients of weights, and thin ones.
func stepCases() []benchCase {
	return []benchCase{
		{"NT", 4096, 512, 128, 1}, {"NT", 4096, 1536, 384, 1}, {"NT", 4096, 1024, 256, 1}, {"NT", 4096, 256, 512, 1},
		{"NN", 4096, 128, 512, 1}, {"NN", 4096, 256, 1024, 1}, {"NN", 4096, 384, 768, 1},
		{"TN", 512, 128, 4096, 1}, {"TN", 128, 256, 4096, 1}, {"TN", 1536, 384, 4096, 1}, {"TN", 1024, 256, 4096, 1},
		{"NT", 4096, 8, 768, 1}, {"TN", 8, 768, 4096, 1}, {"NN", 4096, 256, 8, 1}, {"NT", 4096, 65, 128, 1}, {"TN", 65, 128, 4096, 1},
	}
}

// fewCases are few rows times a transposed B, as in decoding.
func fewCases() (all []benchCase) {
	for _, m := range []int{1, 2, 4, 8, 16} {
		all = append(all, benchCase{"NT", m, 1536, 384, 1}, benchCase{"NT", m, 512, 128, 1})
	}
	return append(all, benchCase{"NN", 1, 512, 128, 1})
}

// scanCases are the steps of a scan of the sLSTM, forward and backward.
func scanCases() (all []benchCase) {
	for _, dh := range []int{32, 64, 128, 192} {
		for _, m := range []int{8, 16} {
			all = append(all, benchCase{"NT", m, 4 * dh, dh, 1}, benchCase{"NN", m, dh, 4 * dh, 1})
		}
	}
	return all
}

func BenchmarkSgemmSquare(b *testing.B) { benchmarkGemm[float32](b, squareCases(), false) }
func BenchmarkDgemmSquare(b *testing.B) { benchmarkGemm[float64](b, squareCases(), false) }
func BenchmarkSgemmHead(b *testing.B)   { benchmarkGemm[float32](b, headCases(), true) }
func BenchmarkSgemmStep(b *testing.B)   { benchmarkGemm[float32](b, stepCases(), false) }
func BenchmarkSgemmFew(b *testing.B)    { benchmarkGemm[float32](b, fewCases(), false) }

func benchmarkGemm[T Float](b *testing.B, cases []benchCase, serial bool) {
	impl := Implementation()
	if serial {
		impl = impl.Serial()
	}
	ours, theirs := gemmOf[T](impl), gemmOf[T](reference)
	for _, c := range cases {
		g := operands[T](c)
		c.run(b, "ours", func() { g.call(ours) })
		c.run(b, "gonum", func() { g.call(theirs) })
	}
}

func BenchmarkPacked(b *testing.B) {
	once := gemmFunc[float32](Implementation().Serial().Sgemm)
	for _, c := range scanCases() {
		g := operands[float32](c)
		var p Packed[float32]
		p.Pack(g.tB, g.k, g.n, g.b, g.ldb)
		c.run(b, "packed", func() { p.Gemm(g.tA, g.m, g.alpha, g.a, g.lda, g.beta, g.c, g.ldc) })
		c.run(b, "Sgemm", func() { g.call(once) })
	}
}

// operands makes the matrices of c.
func operands[T Float](c benchCase) *gemmCase[T] {
	rowOfB := c.n
	if c.form[1] == 'T' {
		rowOfB = c.k
	}
	return newGemmCase[T](rand.New(rand.NewPCG(1, 1)), blas.Transpose(c.form[0]), blas.Transpose(c.form[1]),
		c.m, c.n, c.k, (c.apart-1)*rowOfB, 1, 0)
}

func (c benchCase) run(b *testing.B, name string, f func()) {
	b.Run(fmt.Sprintf("%s%dx%dx%dapart%d/%s", c.form, c.m, c.n, c.k, c.apart, name), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f()
		}
		reportFlops(b, c.m*c.n*c.k)
	})
}

// reportFlops reports the speed of so many multiply-adds.
func reportFlops(b *testing.B, work int) {
	b.ReportMetric(2*float64(work)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
}

func BenchmarkSgemv(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, s := range [][2]int{{64, 64}, {256, 256}, {512, 512}, {1536, 384}, {384, 1536}, {2048, 1024}} {
		m, n := s[0], s[1]
		a, lda := randomMatrix[float32](r, m, n, 0, 0)
		x, _ := randomMatrix[float32](r, max(m, n), 1, 0, 0)
		y, _ := randomMatrix[float32](r, max(m, n), 1, 0, 0)
		for _, impl := range []struct {
			name string
			f    gemvFunc[float32]
		}{{"ours", Implementation().Sgemv}, {"gonum", reference.Sgemv}} {
			for _, tA := range transposes[:2] {
				b.Run(fmt.Sprintf("%c%dx%d/%s", tA, m, n, impl.name), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						impl.f(tA, m, n, 1, a, lda, x, 1, 0, y, 1)
					}
					reportFlops(b, m*n)
				})
			}
		}
	}
}
