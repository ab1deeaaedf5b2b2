package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// MLSTMExit computes y = (Norm(h) + skip⊙c)⊙SiLU(z); w may be nil, for a norm without
// weight.
func MLSTMExit[F Float](s Norm, h, w, c, skip, z, y []F) {
	d := s.Width
	ParallelRows(s.N, activationCost*d, func(lo, hi int) {
		b := normBlocks[F](s, lo*d)
		for b.next(hi * d) {
			b.stats(h)
			b.normalize(h, w, y[b.lo:])
			for at, end := b.lo, 0; at < b.hi; at = end {
				end = b.rowEnd(at)
				vec.SkipGate(y[at:end], c[at:end], skip[at%d:], z[at:end], y[at:end])
			}
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
		b := normBlocks[F](s, lo*d)
		normed, lent := scratch[F](b.most())
		defer giveBack(lent)
		for b.next(hi * d) {
			b.stats(h)
			b.normalize(h, w, normed)
			for at, end := b.lo, 0; at < b.hi; at = end {
				end = b.rowEnd(at)
				// The gradient of the norm's result takes the place of the result.
				n := normed[at-b.lo : end-b.lo]
				vec.SkipGateGrad(n, c[at:end], skip[at%d:], z[at:end], dy[at:end], part[d+at%d:], n, grads.C[at:end], grads.Z[at:end])
			}
			b.gradients(h, f, normed, grads.H, part[:d])
		}
	})
	copy(grads.W, sums[:d])
	copy(grads.Skip, sums[d:])
}

// AddNorm computes sum = a + b and y = Norm(sum); w may be nil.
func AddNorm[F Float](s Norm, a, b, w, sum, y []F) {
	d := s.Width
	ParallelRows(s.N, d, func(lo, hi int) {
		n := normBlocks[F](s, lo*d)
		for n.next(hi * d) {
			vec.Add(sum[n.lo:n.hi], a[n.lo:n.hi], b[n.lo:n.hi])
			n.stats(sum)
			n.normalize(sum, w, y[n.lo:])
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
		b := normBlocks[F](s, lo*d)
		for b.next(hi * d) {
			b.stats(x)
			b.gradients(x, f, dy[b.lo:], dx, part)
			vec.Add(dx[b.lo:b.hi], more[b.lo:b.hi], dx[b.lo:b.hi])
		}
	})
	copy(dw, sums)
}
