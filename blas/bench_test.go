package blas

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas"
)

// benchCases are squares, and products as layers of usual sizes make them.
var benchCases = []struct {
	tA, tB  blas.Transpose
	m, n, k int
	gap     int
}{
	{blas.NoTrans, blas.NoTrans, 8, 8, 8, 0},
	{blas.NoTrans, blas.NoTrans, 16, 16, 16, 0},
	{blas.NoTrans, blas.NoTrans, 32, 32, 32, 0},
	{blas.NoTrans, blas.NoTrans, 64, 64, 64, 0},
	{blas.NoTrans, blas.NoTrans, 128, 128, 128, 0},
	{blas.NoTrans, blas.NoTrans, 256, 256, 256, 0},
	{blas.NoTrans, blas.NoTrans, 512, 512, 512, 0},
	{blas.NoTrans, blas.NoTrans, 1024, 1024, 1024, 0},
	{blas.NoTrans, blas.NoTrans, 4096, 512, 128, 0},
	{blas.NoTrans, blas.NoTrans, 4096, 128, 256, 0},
	{blas.NoTrans, blas.Trans, 4096, 128, 512, 0},
	{blas.Trans, blas.NoTrans, 128, 512, 4096, 0},
	{blas.NoTrans, blas.NoTrans, 64, 64, 64, 192},
	{blas.NoTrans, blas.Trans, 64, 64, 64, 192},
	{blas.Trans, blas.NoTrans, 64, 64, 64, 192},
	{blas.NoTrans, blas.NoTrans, 16, 512, 128, 0},
	{blas.NoTrans, blas.NoTrans, 1, 512, 128, 0},
	{blas.NoTrans, blas.Trans, 1, 512, 128, 0},
}

func BenchmarkSgemm(b *testing.B) { benchmarkGemm[float32](b) }
func BenchmarkDgemm(b *testing.B) { benchmarkGemm[float64](b) }

func benchmarkGemm[T Float](b *testing.B) {
	for _, c := range benchCases {
		g := newGemmCase[T](rand.New(rand.NewPCG(1, 1)), c.tA, c.tB, c.m, c.n, c.k, c.gap, 1, 1)
		for _, impl := range []struct {
			name string
			f    gemmFunc[T]
		}{{"ours", gemmOf[T](Implementation())}, {"gonum", gemmOf[T](reference)}} {
			b.Run(fmt.Sprintf("%dx%dx%d%c%cld%d/%s", c.m, c.n, c.k, c.tA, c.tB, g.ldb, impl.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					impl.f(g.tA, g.tB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.beta, g.c, g.ldc)
				}
				flops := 2 * float64(c.m*c.n*c.k) * float64(b.N)
				b.ReportMetric(flops/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}

func BenchmarkSgemv(b *testing.B) {
	const n = 512
	r := rand.New(rand.NewPCG(1, 1))
	a, lda := randomMatrix[float32](r, n, n, 0, 0)
	x, _ := randomMatrix[float32](r, n, 1, 0, 0)
	y, _ := randomMatrix[float32](r, n, 1, 0, 0)
	for _, impl := range []struct {
		name string
		f    gemvFunc[float32]
	}{{"ours", Implementation().Sgemv}, {"gonum", reference.Sgemv}} {
		for _, tA := range transposes[:2] {
			b.Run(fmt.Sprintf("%dx%d%c/%s", n, n, tA, impl.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					impl.f(tA, n, n, 1, a, lda, x, 1, 0, y, 1)
				}
				b.ReportMetric(2*n*n*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
			})
		}
	}
}
