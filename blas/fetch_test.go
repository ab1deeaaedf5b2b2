package blas

import (
	"slices"
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
			a, b := fetchedLines(impl.single, blas.Trans, blas.NoTrans, s.m, s.n, s.k)
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

// TestNextColumnsOfATransposedBAreFetched: a few rows of A, as of a sequence, with
// weights, of which the next columns are fetched while a few are multiplied.
func TestNextColumnsOfATransposedBAreFetched(t *testing.T) {
	found := false
	for name, impl := range sets() {
		if impl.single == nil || impl.single.fetching == nil {
			continue
		}
		found = true
		for _, s := range []struct{ m, n, k int }{{256, 768, 384}, {256, 384, 768}, {130, 512, 128}} {
			first := 4 * impl.single.width
			_, b := fetchedLines(impl.single, blas.NoTrans, blas.Trans, s.m, s.n, s.k)
			if got, want := coveredFrom(b, first, s.n), 0.95; got < want {
				t.Errorf("%s %v: %.2f of B was fetched, want %.2f", name, s, got, want)
			}
		}
	}
	if !found {
		t.Skip("no kernels that fetch")
	}
}

// coveredFrom is the share of true elements in the rows of a matrix with so many rows
// from the given one on.
func coveredFrom(fetched []bool, row, rows int) float64 {
	fetched = fetched[len(fetched)/rows*row:]
	n := 0
	for _, f := range fetched {
		if f {
			n++
		}
	}
	return float64(n) / float64(len(fetched))
}

// fetchedLines computes C = op(A)·op(B) with the given kernels and returns which elements
// of A and B were fetched.
func fetchedLines(ks *kernels[float32], tA, tB blas.Transpose, m, n, k int) (ofA, ofB []bool) {
	a, b, c := make([]float32, k*m), make([]float32, k*n), make([]float32, m*n)
	ofA, ofB = make([]bool, len(a)), make([]bool, len(b))
	impl := BLAS{single: recordingKernels(ks, func(at *float32) {
		mark(ofA, a, at)
		mark(ofB, b, at)
	}), serial: true}
	_, lda := stored(tA == blas.Trans, m, k)
	_, ldb := stored(tB == blas.Trans, k, n)
	impl.Sgemm(tA, tB, m, n, k, 1, a, lda, b, ldb, 0, c, n)
	return ofA, ofB
}

// mark notes that the line at the given place was fetched, if it is one of x.
func mark(of []bool, x []float32, at *float32) {
	first := (int(uintptr(unsafe.Pointer(at))) - int(uintptr(unsafe.Pointer(&x[0])))) / 4
	for i := max(first, 0); i < min(first+perLine[float32](), len(of)); i++ {
		of[i] = true
	}
}

// recordingKernels are ks, which tell every place that they fetch.
func recordingKernels(ks *kernels[float32], fetched func(at *float32)) *kernels[float32] {
	return &kernels[float32]{
		width: ks.width, heights: ks.heights, row: ks.row, copyA: ks.copyA, copyB: ks.copyB, transpose: ks.transpose, strip: ks.strip, dots: ks.dots,
		fetching: func(k int, x *float32, xRow, xCol int, y *float32, yRow int, z *float32, zRow, n int, alpha, beta float32, ahead *float32, aheadRow int) {
			for p := range k {
				fetched((*float32)(unsafe.Add(unsafe.Pointer(ahead), 4*p*aheadRow)))
			}
			ks.fetching(k, x, xRow, xCol, y, yRow, z, zRow, n, alpha, beta, ahead, aheadRow)
		},
	}
}

// TestGemmAhead: the product is Gemm's to the bit, and every line of the parts is fetched
// that there are steps for.
func TestGemmAhead(t *testing.T) {
	const k, cols, row = 64, 128, 512
	g := operands[float32](benchCase{"TN", 128, 128, k, 1})
	var parts [3][]float32
	var ahead []Ahead[float32]
	for i := range parts {
		parts[i] = make([]float32, k*row)
		ahead = append(ahead, Ahead[float32]{parts[i], row, cols})
	}
	for name, impl := range sets() {
		want := g.run(impl.Serial().Sgemm)
		fetched := map[*float32]bool{}
		if impl.single != nil && impl.single.fetching != nil {
			impl = BLAS{single: recordingKernels(impl.single, func(at *float32) { fetched[at] = true })}
		}
		if got := g.run(gemmAhead(impl, ahead)); !slices.Equal(got, want) {
			t.Errorf("%s: not what Gemm computes", name)
		}
		if impl.single == nil || impl.single.fetching == nil {
			continue
		}
		for i, x := range parts {
			for at := 0; at < k*row; at += perLine[float32]() {
				if at%row < cols && !fetched[&x[at]] {
					t.Fatalf("%s: element %d of part %d was not fetched", name, at, i)
				}
			}
		}
	}
}

// TestGemmAheadCopies: products whose operands are copied, of one row, of nothing, and of
// parts without columns are Gemm's as well.
func TestGemmAheadCopies(t *testing.T) {
	ahead := []Ahead[float32]{{}, {make([]float32, 16), 16, 16}}
	for _, c := range []benchCase{{"NT", 64, 64, 64, 1}, {"NN", 1, 64, 700, 1}, {"NT", 2, 8, 64, 1}, {"TN", 600, 600, 600, 1}, {"NN", 5, 7, 3, 1}} {
		g := operands[float32](c)
		impl := Implementation()
		if want, got := g.run(impl.Serial().Sgemm), g.run(gemmAhead(impl, ahead)); !slices.Equal(got, want) {
			t.Errorf("%v: not what Gemm computes", c)
		}
	}
}

// gemmAhead is GemmAhead with the given parts.
func gemmAhead(impl BLAS, ahead []Ahead[float32]) gemmFunc[float32] {
	return func(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
		GemmAhead(impl, tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, ahead)
	}
}
