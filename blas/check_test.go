package blas

import (
	"fmt"
	"testing"

	"gonum.org/v1/gonum/blas"
)

// TestGemmChecks: for bad arguments, alone and together, we panic when gonum
// does and say the same.
func TestGemmChecks(t *testing.T) {
	impl := Implementation()
	few := []int{-1, 0, 1, 3}
	for _, tA := range []blas.Transpose{blas.NoTrans, blas.Trans, 'X'} {
		for _, tB := range []blas.Transpose{blas.NoTrans, blas.ConjTrans, 0} {
			for at := range 1 << 16 {
				pick := func(bit int) int { return few[at>>(2*bit)&3] }
				m, n, k, lda, ldb, ldc := pick(0), pick(1), pick(2), pick(3), pick(4), pick(5)
				short := 3*pick(6) + pick(7)/2
				call := func(f gemmFunc[float32]) string {
					return panicOf(func() {
						f(tA, tB, m, n, k, 1, make([]float32, max(0, short)), lda, make([]float32, max(0, 9-short)), ldb, 1, make([]float32, 7), ldc)
					})
				}
				if got, want := call(impl.Sgemm), call(reference.Sgemm); got != want {
					t.Fatalf("Sgemm(%c, %c, %d, %d, %d, lda %d, ldb %d, ldc %d): panic %q, want %q", tA, tB, m, n, k, lda, ldb, ldc, got, want)
				}
			}
		}
	}
}

func TestGemvChecks(t *testing.T) {
	impl := Implementation()
	few := []int{-1, 0, 1, 3}
	for _, tA := range []blas.Transpose{blas.NoTrans, blas.Trans, 'X'} {
		for at := range 1 << 16 {
			pick := func(bit int) int { return few[at>>(2*bit)&3] }
			m, n, lda, incX, incY := pick(0), pick(1), pick(2), pick(3), pick(4)
			lenA, lenX, lenY := 4*pick(5), 2*pick(6), 2*pick(7)
			call := func(f gemvFunc[float64]) string {
				return panicOf(func() {
					f(tA, m, n, 1, make([]float64, max(0, lenA)), lda, make([]float64, max(0, lenX)), incX, 1, make([]float64, max(0, lenY)), incY)
				})
			}
			if got, want := call(impl.Dgemv), call(reference.Dgemv); got != want {
				t.Fatalf("Dgemv(%c, %d, %d, lda %d, inc %d %d): panic %q, want %q", tA, m, n, lda, incX, incY, got, want)
			}
		}
	}
}

func panicOf(f func()) (message string) {
	defer func() {
		if v := recover(); v != nil {
			message = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}
