package kernels

// Linear computes y = x·Wᵀ + b for x of N rows: x [N,In] with row distance ldx,
// w [Out,In] with row distance ldw, y [N,Out]. If add is set it adds to y, else
// it overwrites y. b may be nil.
func Linear[F Float](n, in, out int, x []F, ldx int, w []F, ldw int, b, y []F, add bool) {
	var beta F
	if add {
		beta = 1
	}
	Gemm(false, true, n, out, in, 1, x, ldx, w, ldw, beta, y, out)
	if b != nil {
		AddRows(n, out, y, b, y)
	}
}

// AddRows computes y = x + b for every row of x [N,D]; y may be x.
func AddRows[F Float](n, d int, x, b, y []F) {
	ParallelRows(n, d, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row, dst := x[r*d:(r+1)*d], y[r*d:(r+1)*d]
			for j, v := range b[:d] {
				dst[j] = row[j] + v
			}
		}
	})
}

// LinearGradX computes dx = dy·W, added to dx if add is set.
func LinearGradX[F Float](n, in, out int, dy, w []F, ldw int, dx []F, ldx int, add bool) {
	var beta F
	if add {
		beta = 1
	}
	Gemm(false, false, n, in, out, 1, dy, out, w, ldw, beta, dx, ldx)
}

// LinearGradW computes dW = dyᵀ·x.
func LinearGradW[F Float](n, in, out int, dy, x []F, ldx int, dw []F, ldw int) {
	Gemm(true, false, out, in, n, 1, dy, out, x, ldx, 0, dw, ldw)
}

// ColumnSums writes the sums of the columns of x [N,W] to dst [W].
func ColumnSums[F Float](n, width int, x, dst []F) {
	sumRows(n, width, dst, func(lo, hi int, part []F) {
		for r := lo; r < hi; r++ {
			axpy(1, x[r*width:(r+1)*width], part)
		}
	})
}

// Headwise describes a block-diagonal linear map: Heads independent maps from
// In to Out columns, y[h·Out+o] = Σ_i W[h,o,i]·x[h·In+i] + b[h·Out+o]
// (LinearHeadwiseExpand in the official code).
//
// The weight is stored as [Heads, Stride, In]; of each head's Stride rows the
// map uses Out, beginning at Row. A plain map has Row 0 and Stride Out; the
// recurrent kernel of the sLSTM holds four such maps (its gates) side by side.
type Headwise struct{ N, Heads, In, Out, Row, Stride int }

// narrow is the head width below which plain loops beat a matrix product.
const narrow = 12

func (s Headwise) weight(h int) int { return (h*s.Stride + s.Row) * s.In }

// HeadwiseForward computes y [N, Heads·Out]; b may be nil.
func HeadwiseForward[F Float](s Headwise, x, w, b, y []F) {
	ldx, ldy := s.Heads*s.In, s.Heads*s.Out
	if s.In < narrow {
		ParallelRows(s.N, ldx*s.Out, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				headwiseRow(s, x[r*ldx:(r+1)*ldx], w, y[r*ldy:(r+1)*ldy])
			}
		})
	} else {
		parallelWork(s.Heads, s.N*s.Out*s.In, func(h int) {
			Gemm(false, true, s.N, s.Out, s.In, 1, x[h*s.In:], ldx, w[s.weight(h):], s.In, 0, y[h*s.Out:], ldy)
		})
	}
	if b != nil {
		AddRows(s.N, ldy, y, b, y)
	}
}

func headwiseRow[F Float](s Headwise, x, w, y []F) {
	if s.In == 4 {
		headwiseRow4(s, x, w, y)
		return
	}
	for h := range s.Heads {
		xh, wh, yh := x[h*s.In:(h+1)*s.In], w[s.weight(h):], y[h*s.Out:(h+1)*s.Out]
		for o := range yh {
			yh[o] = dot(xh, wh[o*s.In:(o+1)*s.In])
		}
	}
}

// headwiseRow4 is headwiseRow for the official models' blocks of four: the same
// sums, with x in registers.
func headwiseRow4[F Float](s Headwise, x, w, y []F) {
	for h := range s.Heads {
		xh, wh, yh := x[h*4:h*4+4], w[s.weight(h):], y[h*s.Out:(h+1)*s.Out]
		x0, x1, x2, x3 := xh[0], xh[1], xh[2], xh[3]
		for o := range yh {
			row := wh[o*4 : o*4+4]
			var sum F
			sum += x0 * row[0]
			sum += x1 * row[1]
			sum += x2 * row[2]
			sum += x3 * row[3]
			yh[o] = sum
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
	if s.In < narrow {
		headwiseBackwardNarrow(s, x, w, dy, dx, dw)
	} else {
		Parallel(s.Heads, func(h int) {
			wh := s.weight(h)
			Gemm(false, false, s.N, s.In, s.Out, 1, dy[h*s.Out:], ldy, w[wh:], s.In, 0, dx[h*s.In:], ldx)
			Gemm(true, false, s.Out, s.In, s.N, 1, dy[h*s.Out:], ldy, x[h*s.In:], ldx, 0, dw[wh:], s.In)
		})
	}
	if db != nil {
		ColumnSums(s.N, ldy, dy, db)
	}
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
					axpy(g, w[at:at+s.In], dxh)
					axpy(g, xh, part[at:at+s.In])
				}
			}
		}
	})
}
