package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// Headwise describes a block-diagonal linear map: Heads independent maps from
// In to Out columns, y[h·Out+o] = Σ_i W[h,o,i]·x[h·In+i] + b[h·Out+o]
// (LinearHeadwiseExpand in the official code).
//
// The weight is stored as [Heads, Stride, In]; of each head's Stride rows the
// map uses Out rows, starting at Row. A plain map has Row 0 and Stride Out; the
// recurrent kernel of the sLSTM holds four such maps (its gates) side by side.
type Headwise struct{ N, Heads, In, Out, Row, Stride int }

// narrow is the head width below which plain loops beat a matrix product.
const narrow = 12

func (s Headwise) weight(h int) int { return (h*s.Stride + s.Row) * s.In }

// HeadwiseForward computes y [N, Heads·Out]; b may be nil.
func HeadwiseForward[F Float](s Headwise, x, w, b, y []F) {
	ldx, ldy := s.Heads*s.In, s.Heads*s.Out
	switch {
	case s.quads() && s.N > 1:
		quadsForward(s, x, w, y)
	case s.quads():
		quadsForwardRow(s, x, w, y)
	case s.In < narrow:
		ParallelRows(s.N, ldx*s.Out, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				headwiseRow(s, x[r*ldx:(r+1)*ldx], w, y[r*ldy:(r+1)*ldy])
			}
		})
	default:
		s.eachBlock(s.In*s.Out, func(h, lo, hi int) {
			serialGemm(false, true, hi-lo, s.Out, s.In, 1, x[lo*ldx+h*s.In:], ldx, w[s.weight(h):], s.In, 0, y[lo*ldy+h*s.Out:], ldy)
		})
	}
	if b != nil {
		AddRows(s.N, ldy, y, b, y)
	}
}

func headwiseRow[F Float](s Headwise, x, w, y []F) {
	for h := range s.Heads {
		xh, wh, yh := x[h*s.In:(h+1)*s.In], w[s.weight(h):], y[h*s.Out:(h+1)*s.Out]
		for o := range yh {
			yh[o] = vec.Dot(xh, wh[o*s.In:(o+1)*s.In])
		}
	}
}

// HeadwiseBackward computes the gradients of HeadwiseForward. dw has the shape
// of the whole weight; rows that the map does not use become zero. db may be
// nil.
func HeadwiseBackward[F Float](s Headwise, x, w, dy, dx, dw, db []F) {
	ldx, ldy := s.Heads*s.In, s.Heads*s.Out
	if s.Out != s.Stride {
		clear(dw)
	}
	switch {
	case s.quads():
		quadsBackward(s, x, w, dy, dx, dw)
	case s.In < narrow:
		headwiseBackwardNarrow(s, x, w, dy, dx, dw)
	default:
		s.eachBlock(s.In*s.Out, func(h, lo, hi int) {
			serialGemm(false, false, hi-lo, s.In, s.Out, 1, dy[lo*ldy+h*s.Out:], ldy, w[s.weight(h):], s.In, 0, dx[lo*ldx+h*s.In:], ldx)
		})
		headwiseGradW(s, x, dy, dw)
	}
	if db != nil {
		ColumnSums(s.N, ldy, dy, db)
	}
}

// headwiseRows is the number of rows of x that one piece of work multiplies with
// a head's weight: enough for the weight to be read from a cache.
const headwiseRows = 256

// eachBlock calls f for blocks of rows of every head, of so many multiply-adds a
// row.
func (s Headwise) eachBlock(rowWork int, f func(h, lo, hi int)) {
	blocks := (s.N + headwiseRows - 1) / headwiseRows
	parallelWork(s.Heads*blocks, min(s.N, headwiseRows)*rowWork, func(i int) {
		lo := i / s.Heads * headwiseRows
		f(i%s.Heads, lo, min(s.N, lo+headwiseRows))
	})
}

// headwiseParts is the number of rows that make one part of the gradient of a head's
// weight: as many as products of matrices add before they touch the result.
const headwiseParts = 512

// headwiseGradW computes dW = dyᵀ·x of every head: parts of it, which are added in
// their order.
func headwiseGradW[F Float](s Headwise, x, dy, dw []F) {
	ldx, ldy, size := s.Heads*s.In, s.Heads*s.Out, s.Out*s.In
	blocks := (s.N + headwiseParts - 1) / headwiseParts
	parts, lent := scratch[F](s.Heads * blocks * size)
	defer giveBack(lent)
	parallelWork(s.Heads*blocks, min(s.N, headwiseParts)*size, func(i int) {
		h, block := i%s.Heads, i/s.Heads
		lo, part := block*headwiseParts, parts[(h*blocks+block)*size:][:size]
		serialGemm(true, false, s.Out, s.In, min(headwiseParts, s.N-lo), 1, dy[lo*ldy+h*s.Out:], ldy, x[lo*ldx+h*s.In:], ldx, 0, part, s.In)
	})
	parallelWork(s.Heads, blocks*size, func(h int) {
		sum, rest := dw[s.weight(h):][:size], parts[h*blocks*size:(h+1)*blocks*size]
		copy(sum, rest)
		for at := size; at < len(rest); at += size {
			vec.Add(sum, sum, rest[at:at+size])
		}
	})
}

func headwiseBackwardNarrow[F Float](s Headwise, x, w, dy, dx, dw []F) {
	ldx, ldy := s.Heads*s.In, s.Heads*s.Out
	sumRows(s.N, ldx*s.Out, dw, func(lo, hi int, part []F) {
		for r := lo; r < hi; r++ {
			for h := range s.Heads {
				xh, dxh := x[r*ldx+h*s.In:][:s.In], dx[r*ldx+h*s.In:][:s.In]
				clear(dxh)
				for o, g := range dy[r*ldy+h*s.Out:][:s.Out] {
					at := s.weight(h) + o*s.In
					vec.Axpy(dxh, g, w[at:at+s.In])
					vec.Axpy(part[at:at+s.In], g, xh)
				}
			}
		}
	})
}
