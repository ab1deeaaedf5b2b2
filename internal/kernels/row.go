package kernels

import (
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/vec"
	"github.com/gorgonia-xlstm/xlstm/internal/weights"
)

// A token that is generated alone is one row of x, which is multiplied with every
// weight once, so that reading the weights takes most of the time.

const (
	// rowPieceBytes is how much of a weight a core reads at a time: a microsecond or
	// less.
	rowPieceBytes = 1 << 15
	// rowFarBytes is how much of a weight in floats is taken to lie beyond a second-level
	// cache. If its rows are shorter than a page, larger pieces of it are read, which are
	// long enough for package blas to read them in the order of memory: 1.4 times as fast
	// with rows of 384 numbers on Zen 4. Rows of 1024 are faster in several streams.
	rowFarBytes = 1 << 18
	pageBytes   = 1 << 12
)

// rowMap is y = W·x + b for one row of x, with some rows of W for each of several
// results. It is made once for an operation, so that a run allocates nothing.
type rowMap[F Float] struct {
	in    int
	outs  []int                   // rows of W for each result
	total int                     // rows of W
	dots  func(lo, hi int, y []F) // computes rows lo to hi of W·x
	each  int                     // rows of a piece
	piece func(i int)
	bias  []F
	ys    [][]F
}

func (r *rowMap[F]) prepare(in int, outs []int, rowBytes int, dots func(lo, hi int, y []F)) {
	r.in, r.outs, r.dots = in, outs, dots
	for _, n := range outs {
		r.total += n
	}
	r.each = max(1, rowPieceBytes/max(1, rowBytes))
	r.piece = func(i int) { r.part(i*r.each, min(r.total, (i+1)*r.each)) }
}

// run computes ys. b may be nil.
func (r *rowMap[F]) run(b []F, ys [][]F) {
	r.bias, r.ys = b, ys
	if r.total*r.in < wakeWork {
		r.part(0, r.total)
		return
	}
	Parallel((r.total+r.each-1)/r.each, r.piece)
}

// part computes what rows lo to hi of W give.
func (r *rowMap[F]) part(lo, hi int) {
	first := 0
	for k, n := range r.outs {
		if from, to := max(lo, first), min(hi, first+n); from < to {
			y := r.ys[k][from-first : to-first]
			r.dots(from, to, y)
			if r.bias != nil {
				vec.Add(y, y, r.bias[from:to])
			}
		}
		first += n
	}
}

// RowLinear is Linear for one row of x, with several results.
type RowLinear[F Float] struct {
	rowMap[F]
	x, w []F
}

// NewRowLinear returns the map for x [In] and w [ΣOuts,In].
func NewRowLinear[F Float](in int, outs []int) *RowLinear[F] {
	r, rowBytes := new(RowLinear[F]), in*int(unsafe.Sizeof(F(0)))
	r.prepare(in, outs, rowBytes, func(lo, hi int, y []F) {
		blas.Gemv(serial, trans(false), hi-lo, in, 1, r.w[lo*in:], in, r.x, 1, 0, y, 1)
	})
	if rowBytes < pageBytes && r.total*rowBytes > rowFarBytes {
		r.each *= 4
	}
	return r
}

// Run computes a result [Outs[k]] for each k; b [ΣOuts] may be nil.
func (r *RowLinear[F]) Run(x, w, b []F, ys [][]F) {
	r.x, r.w = x, w
	r.run(b, ys)
}

// PackedRowLinear is PackedLinear for one row of x, with several results.
type PackedRowLinear struct {
	rowMap[float32]
	w weights.Matrix
	x weights.Vector
}

// NewPackedRowLinear returns the map for w [ΣOuts,In] with rows of so many bytes.
func NewPackedRowLinear(in, rowBytes int, outs []int) *PackedRowLinear {
	r := new(PackedRowLinear)
	r.prepare(in, outs, rowBytes, func(lo, hi int, y []float32) { r.w.Cut(lo, hi).Dots(&r.x, y) })
	return r
}

// Run computes a result [Outs[k]] for each k; b [ΣOuts] may be nil.
func (r *PackedRowLinear) Run(x []float32, w weights.Matrix, b []float32, ys [][]float32) {
	r.w = w
	r.x.Set(w.Format, x)
	r.run(b, ys)
}
