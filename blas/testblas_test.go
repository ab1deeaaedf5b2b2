package blas

import (
	"math"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/testblas"
)

// TestGonumsCases runs the tests that gonum has for any implementation.
func TestGonumsCases(t *testing.T) {
	for name, impl := range sets() {
		t.Run(name+"/float64", func(t *testing.T) {
			testblas.TestDgemm(t, impl)
			testblas.DgemvTest(t, impl)
		})
		t.Run(name+"/serial", func(t *testing.T) {
			testblas.TestDgemm(t, impl.Serial())
			testblas.DgemvTest(t, impl.Serial())
		})
		t.Run(name+"/float32", func(t *testing.T) {
			testblas.TestDgemm(t, single{impl})
			testblas.DgemvTest(t, single{impl})
		})
	}
}

// single is Sgemm and Sgemv where Dgemm and Dgemv are asked for. The results of
// gonum's cases have one or two decimals and are compared in float64: what float32
// adds to them is rounded off.
type single struct{ BLAS }

func (s single) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	to := testutil.Convert[float32](c)
	s.Sgemm(tA, tB, m, n, k, float32(alpha), testutil.Convert[float32](a), lda, testutil.Convert[float32](b), ldb, float32(beta), to, ldc)
	widen(c, to)
}

func (s single) Dgemv(tA blas.Transpose, m, n int, alpha float64, a []float64, lda int, x []float64, incX int, beta float64, y []float64, incY int) {
	to := testutil.Convert[float32](y)
	s.Sgemv(tA, m, n, float32(alpha), testutil.Convert[float32](a), lda, testutil.Convert[float32](x), incX, float32(beta), to, incY)
	widen(y, to)
}

func widen(dst []float64, src []float32) {
	for i, v := range src {
		dst[i] = math.Round(float64(v)*1000) / 1000
	}
}
