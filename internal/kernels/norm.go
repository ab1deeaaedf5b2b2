package kernels

import "math"

// Norm describes a normalisation of the rows of a matrix [N,Width]: every one
// of Groups equal column blocks of a row is normalised on its own,
//
//	y = (x − μ)/√(var + Eps) · w
//
// With Centered unset μ is taken as 0 (RMSNorm). With Residual set the factor
// is 1+w, the way the paper's architecture stores its norm weights. Groups 1 is
// a layer norm, Groups NH the per-head norm behind the cells.
type Norm struct {
	N, Width, Groups   int
	Eps                float64
	Centered, Residual bool
}

// groupStats returns the mean (0 if not centred) and the reciprocal standard
// deviation of a group; sums are kept in float64.
func groupStats[F Float](s Norm, x []F) (mean, rstd F) {
	var mu, sq float64
	if s.Centered {
		for _, v := range x {
			mu += float64(v)
		}
		mu /= float64(len(x))
	}
	for _, v := range x {
		d := float64(v) - mu
		sq += d * d
	}
	return F(mu), F(1 / math.Sqrt(sq/float64(len(x))+s.Eps))
}

// factor is the multiplier of column c; w may be nil.
func factor[F Float](s Norm, w []F, c int) F {
	switch {
	case w == nil:
		return 1
	case s.Residual:
		return 1 + w[c]
	}
	return w[c]
}

// NormForward computes y; w [Width] may be nil, for a factor of 1.
func NormForward[F Float](s Norm, x, w, y []F) {
	gw := s.Width / s.Groups
	ParallelRows(s.N, s.Width, func(lo, hi int) {
		for r := lo * s.Groups; r < hi*s.Groups; r++ {
			xg, yg, c0 := x[r*gw:(r+1)*gw], y[r*gw:(r+1)*gw], r%s.Groups*gw
			mean, rstd := groupStats(s, xg)
			for j, v := range xg {
				yg[j] = (v - mean) * rstd * factor(s, w, c0+j)
			}
		}
	})
}

// NormBackward computes dx and, where w is not nil, dw. Mean and deviation are
// computed again: reading a row twice is cheaper than storing them.
func NormBackward[F Float](s Norm, x, w, dy, dx, dw []F) {
	sumRows(s.N, s.Width, dw, func(lo, hi int, part []F) {
		for r := lo; r < hi; r++ {
			normRowBackward(s, x[r*s.Width:(r+1)*s.Width], w, dy[r*s.Width:(r+1)*s.Width], dx[r*s.Width:(r+1)*s.Width], part)
		}
	})
}

// normRowBackward: with x̂ the normalised x and g = dy·w,
// dx = rstd·(g − mean(g) − x̂·mean(g·x̂)); without centring the middle term is
// missing.
func normRowBackward[F Float](s Norm, x, w, dy, dx, dw []F) {
	gw := s.Width / s.Groups
	for c0 := 0; c0 < s.Width; c0 += gw {
		xg, dyg, dxg := x[c0:c0+gw], dy[c0:c0+gw], dx[c0:c0+gw]
		mean, rstd := groupStats(s, xg)
		var sum, sumX float64
		for j, v := range xg {
			xhat := (v - mean) * rstd
			g := dyg[j] * factor(s, w, c0+j)
			sum += float64(g)
			sumX += float64(g * xhat)
			if w != nil {
				dw[c0+j] += dyg[j] * xhat
			}
		}
		if !s.Centered {
			sum = 0
		}
		mg, mgx := F(sum/float64(gw)), F(sumX/float64(gw))
		for j, v := range xg {
			xhat := (v - mean) * rstd
			dxg[j] = rstd * (dyg[j]*factor(s, w, c0+j) - mg - xhat*mgx)
		}
	}
}
