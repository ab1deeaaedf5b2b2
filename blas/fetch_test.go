package blas

import (
	"testing"
	"unsafe"

	"gonum.org/v1/gonum/blas"
)

// TestNextPartsAreFetched: while a block is computed, tiles fetch nearly every line of
// the parts of A and B that are read after it.
func TestNextPartsAreFetched(t *testing.T) {
	found := false
	for name, impl := range sets() {
		if impl.single == nil || impl.single.fetching == nil {
			continue
		}
		found = true
		for _, s := range []struct {
			m, n, k int
			// aFrom and bFrom are the first rows of A and B that must have been fetched.
			aFrom, bFrom int
		}{
			{768, 384, 1536, 512, 512}, // B is copied
			{512, 128, 2048, 512, 512}, // B is read in place
			{128, 512, 2048, 512, 512}, // with AVX2, a few columns of B are copied at a time
		} {
			a, b := fetchedLines(impl.single, s.m, s.n, s.k)
			if got, want := coveredFrom(a, s.aFrom, s.k), 0.95; got < want {
				t.Errorf("%s %v: %.2f of A was fetched, want %.2f", name, s, got, want)
			}
			if got, want := coveredFrom(b, s.bFrom, s.k), 0.9; got < want {
				t.Errorf("%s %v: %.2f of B was fetched, want %.2f", name, s, got, want)
			}
		}
	}
	if !found {
		t.Skip("no kernels that fetch")
	}
}

// coveredFrom is the share of true elements in the rows of a matrix with k rows from the
// given one on.
func coveredFrom(fetched []bool, row, k int) float64 {
	fetched = fetched[len(fetched)/k*row:]
	n := 0
	for _, f := range fetched {
		if f {
			n++
		}
	}
	return float64(n) / float64(len(fetched))
}

// fetchedLines computes C = Aᵀ·B with the given kernels and returns which elements of A
// and B were fetched.
func fetchedLines(ks *kernels[float32], m, n, k int) (ofA, ofB []bool) {
	a, b, c := make([]float32, k*m), make([]float32, k*n), make([]float32, m*n)
	ofA, ofB = make([]bool, len(a)), make([]bool, len(b))
	mark := func(of []bool, x []float32, at *float32) {
		first := (int(uintptr(unsafe.Pointer(at))) - int(uintptr(unsafe.Pointer(&x[0])))) / 4
		for i := max(first, 0); i < min(first+perLine[float32](), len(of)); i++ {
			of[i] = true
		}
	}
	recording := &kernels[float32]{
		width: ks.width, heights: ks.heights, row: ks.row, copyA: ks.copyA, copyB: ks.copyB, transpose: ks.transpose, strip: ks.strip, dots: ks.dots,
		fetching: func(k int, x *float32, xRow, xCol int, y *float32, yRow int, z *float32, zRow, n int, alpha, beta float32, ahead *float32, aheadRow int) {
			for p := range k {
				at := (*float32)(unsafe.Add(unsafe.Pointer(ahead), 4*p*aheadRow))
				mark(ofA, a, at)
				mark(ofB, b, at)
			}
			ks.fetching(k, x, xRow, xCol, y, yRow, z, zRow, n, alpha, beta, ahead, aheadRow)
		},
	}
	impl := BLAS{single: recording, serial: true}
	impl.Sgemm(blas.Trans, blas.NoTrans, m, n, k, 1, a, m, b, n, 0, c, n)
	return ofA, ofB
}
