package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// MLSTMExit computes y = (Norm(h) + skip⊙c)⊙SiLU(z); w may be nil, for a norm without
// weight.
func MLSTMExit[F Float](s Norm, h, w, c, skip, z, y []F) {
	d := s.Width
	ParallelRows(s.N, activationCost*d, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			at, end := r*d, (r+1)*d
			normRow(s, h[at:end], w, y[at:end])
			vec.SkipGate(y[at:end], c[at:end], skip, z[at:end], y[at:end])
		}
	})
}

// MLSTMExitGrads are the gradients of the inputs; W may be nil.
type MLSTMExitGrads[F Float] struct{ H, W, C, Skip, Z []F }

// MLSTMExitGrad computes the gradients of MLSTMExit.
func MLSTMExitGrad[F Float](s Norm, h, w, c, skip, z, dy []F, grads MLSTMExitGrads[F]) {
	d := s.Width
	buf, lent := scratch[F](3 * d)
	defer giveBack(lent)
	f, sums := buf[:d], buf[d:]
	normFactors(s, w, f)
	sumRows(s.N, activationCost*d, sums, func(lo, hi int, part []F) {
		normed, lent := scratch[F](d)
		defer giveBack(lent)
		for r := lo; r < hi; r++ {
			at, end := r*d, (r+1)*d
			normRow(s, h[at:end], w, normed)
			// The gradient of the norm's result takes the place of the result.
			vec.SkipGateGrad(normed, c[at:end], skip, z[at:end], dy[at:end], part[d:], normed, grads.C[at:end], grads.Z[at:end])
			normRowBackward(s, h[at:end], f, normed, grads.H[at:end], part[:d])
		}
	})
	copy(grads.W, sums[:d])
	copy(grads.Skip, sums[d:])
}

// AddNorm computes sum = a + b and y = Norm(sum); w may be nil.
func AddNorm[F Float](s Norm, a, b, w, sum, y []F) {
	d := s.Width
	ParallelRows(s.N, d, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			at, end := r*d, (r+1)*d
			vec.Add(sum[at:end], a[at:end], b[at:end])
			normRow(s, sum[at:end], w, y[at:end])
		}
	})
}

// NormBackwardAdd is NormBackward with more added to dx.
func NormBackwardAdd[F Float](s Norm, x, w, dy, more, dx, dw []F) {
	d := s.Width
	buf, lent := scratch[F](2 * d)
	defer giveBack(lent)
	f, sums := buf[:d], buf[d:]
	normFactors(s, w, f)
	sumRows(s.N, d, sums, func(lo, hi int, part []F) {
		for r := lo; r < hi; r++ {
			at, end := r*d, (r+1)*d
			normRowBackward(s, x[at:end], f, dy[at:end], dx[at:end], part)
			vec.Add(dx[at:end], more[at:end], dx[at:end])
		}
	})
	copy(dw, sums)
}
