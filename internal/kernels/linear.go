package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// Linear computes y = x·Wᵀ + b for x of N rows: x [N,In] with row distance ldx,
// w [Out,In] with row distance ldw, y [N,Out]. If add is set, the result is
// added to y; otherwise it overwrites y. b may be nil.
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
			vec.Add(y[r*d:(r+1)*d], x[r*d:(r+1)*d], b)
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
			vec.Axpy(part, 1, x[r*width:(r+1)*width])
		}
	})
}
