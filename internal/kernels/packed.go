package kernels

import (
	"sync"

	gblas "gonum.org/v1/gonum/blas"

	"github.com/gorgonia-xlstm/xlstm/internal/weights"
)

const (
	// fewRows is up to how many rows of x scalar products are as fast as the
	// matrix can be read; more are multiplied in tiles.
	fewRows = 16
	// unpackedRows is how many rows of the matrix are unpacked at a time: whole
	// tiles for every set of kernels, and with a usual width half of a
	// second-level cache.
	unpackedRows = 24
	// batchRows is how many rows of the matrix are multiplied with integers at a
	// time: whole tiles for every set of kernels.
	batchRows = 32
	// rowGap keeps unpacked rows from falling on the same places of a cache.
	rowGap = 16
)

// PackedLinear computes y = x·Wᵀ + b for x of N rows: x [N,In], w [Out,In],
// y [N,Out]. b may be nil. Only float32 is fast.
func PackedLinear[F Float](n int, x []F, w weights.Matrix, b, y []F) {
	switch x := any(x).(type) {
	case []float32:
		timesPacked(n, x, w, any(y).([]float32))
	case []float64:
		timesPacked64(n, x, w, any(y).([]float64))
	}
	if b != nil {
		AddRows(n, w.Rows(), y, b, y)
	}
}

// roundedFor returns n rows of x as products with w take them, so that it makes no
// difference in how many rows a text is read.
func roundedFor(w weights.Matrix, n int, x []float32) (rounded []float32, lent *[]float32) {
	rounded, lent = scratch[float32](n * w.In)
	ParallelRows(n, w.In, func(lo, hi int) {
		weights.Round(w.Format, x[lo*w.In:hi*w.In], rounded[lo*w.In:hi*w.In])
	})
	return rounded, lent
}

// timesPacked computes y = x·Wᵀ.
func timesPacked(n int, x []float32, w weights.Matrix, y []float32) {
	switch {
	case n == 1:
		NewPackedRowLinear(w.In, len(w.Data)/max(1, w.Rows()), []int{w.Rows()}).Run(x, w, nil, [][]float32{y})
	case weights.Batches(w.Format):
		batchTimesPacked(n, x, w, y)
	case n <= fewRows:
		x, lent := roundedFor(w, n, x)
		defer giveBack(lent)
		eachPiece(w, unpackedRows, n, func(lo, hi int) { fewTimesPacked(n, x, w, lo, hi, y) })
	default:
		x, lent := roundedFor(w, n, x)
		defer giveBack(lent)
		manyTimesPacked(n, x, w, y)
	}
}

var batches = sync.Pool{New: func() any { return new(weights.Batch) }}

// batchTimesPacked computes y in products of integers.
func batchTimesPacked(n int, x []float32, w weights.Matrix, y []float32) {
	b := batches.Get().(*weights.Batch)
	defer batches.Put(b)
	b.Set(w.Format, n, w.In, x)
	eachPiece(w, batchRows, n, func(lo, hi int) { w.Cut(lo, hi).Products(b, y[lo:], w.Rows()) })
}

// timesPacked64 is timesPacked in float64, for checking.
func timesPacked64(n int, x []float64, w weights.Matrix, y []float64) {
	row, rounded := make([]float32, w.In), make([]float32, len(x))
	for i, v := range x {
		rounded[i] = float32(v)
	}
	weights.Round(w.Format, rounded, rounded)
	for o := range w.Rows() {
		w.Unpack(o, row)
		for t := range n {
			sum := 0.0
			for i, v := range row {
				sum += float64(v) * float64(rounded[t*w.In+i])
			}
			y[t*w.Rows()+o] = sum
		}
	}
}

// eachPiece calls f for pieces of so many rows of w, which are to be multiplied
// with n rows of x.
func eachPiece(w weights.Matrix, rows, n int, f func(lo, hi int)) {
	out := w.Rows()
	parallelWork((out+rows-1)/rows, n*rows*w.In, func(i int) { f(i*rows, min(out, (i+1)*rows)) })
}

// unpacked returns rows lo to hi of w, which are so far apart, and what giveBack
// takes.
func unpacked(w weights.Matrix, lo, hi int) (rows []float32, ld int, lent *[]float32) {
	ld = w.In + rowGap
	rows, lent = scratch[float32]((hi - lo) * ld)
	for r := lo; r < hi; r++ {
		w.Unpack(r, rows[(r-lo)*ld:])
	}
	return rows, ld, lent
}

// fewTimesPacked computes columns lo to hi of y in scalar products.
func fewTimesPacked(n int, x []float32, w weights.Matrix, lo, hi int, y []float32) {
	rows, ld, lent := unpacked(w, lo, hi)
	defer giveBack(lent)
	serialGemm(false, true, n, hi-lo, w.In, 1, x, w.In, rows, ld, 0, y[lo:], w.Rows())
}

// manyTimesPacked computes y in tiles, as the transpose of W·xᵀ: xᵀ is laid out
// for the kernels once, and the rows of W are read in place.
func manyTimesPacked(n int, x []float32, w weights.Matrix, y []float32) {
	columns, done := packed(true, w.In, n, x, w.In)
	defer done()
	eachPiece(w, unpackedRows, n, func(lo, hi int) {
		rows, ld, lent := unpacked(w, lo, hi)
		defer giveBack(lent)
		product, lentToo := scratch[float32]((hi - lo) * n)
		defer giveBack(lentToo)
		columns.Gemm(gblas.NoTrans, hi-lo, 1, rows, ld, 0, product, n)
		for t := range n {
			to := y[t*w.Rows()+lo:][:hi-lo]
			for r := range to {
				to[r] = product[r*n+t]
			}
		}
	})
}

// PackedEmbedding writes row ids[r] of w [V,D] to row r of y.
func PackedEmbedding[F Float](ids []int, w weights.Matrix, y []F) {
	row, lent := scratch[float32](w.In)
	defer giveBack(lent)
	for r, id := range ids {
		w.Unpack(id, row)
		for i, v := range row {
			y[r*w.In+i] = F(v)
		}
	}
}
