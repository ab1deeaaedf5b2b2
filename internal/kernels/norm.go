package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// Norm describes a normalisation of the rows of a matrix [N,Width]: each of
// Groups equal column blocks of a row is normalised separately,
//
//	y = (x − μ)/√(var + Eps) · w
//
// With Centered unset μ is taken as 0 (RMSNorm). With Residual set the factor
// is 1+w, the way the paper's architecture stores its norm weights. Groups is 1
// for a layer norm, and NH for the per-head norm after the cells.
type Norm struct {
	N, Width, Groups   int
	Eps                float64
	Centered, Residual bool
}

// groupStats returns the mean (0 if not centred) and the reciprocal standard
// deviation of a group.
func groupStats[F Float](s Norm, x []F) (mean, rstd F) {
	n := float64(len(x))
	if s.Centered {
		mean = F(float64(vec.Sum(x)) / n)
	}
	return mean, F(1 / math.Sqrt(float64(vec.Squares(x, mean))/n+s.Eps))
}

// normRow normalises a row with the norm's weight w, which may be nil.
func normRow[F Float](s Norm, x, w, y []F) {
	gw := s.Width / s.Groups
	for c0 := 0; c0 < s.Width; c0 += gw {
		xg, yg := x[c0:c0+gw], y[c0:c0+gw]
		mean, rstd := groupStats(s, xg)
		switch {
		case w == nil:
			for i, v := range xg {
				yg[i] = (v - mean) * rstd
			}
		case s.Residual:
			vec.NormalizeResidual(xg, w[c0:c0+gw], mean, rstd, yg)
		default:
			vec.Normalize(xg, w[c0:c0+gw], mean, rstd, yg)
		}
	}
}

// normFactors fills f [Width] with the multipliers of the columns, which gradients
// use; w may be nil, for 1.
func normFactors[F Float](s Norm, w, f []F) {
	for c := range f {
		switch {
		case w == nil:
			f[c] = 1
		case s.Residual:
			f[c] = 1 + w[c]
		default:
			f[c] = w[c]
		}
	}
}

// NormForward computes y; w [Width] may be nil, for a factor of 1.
func NormForward[F Float](s Norm, x, w, y []F) {
	if s.N == 1 { // without a function, which takes memory
		normRow(s, x, w, y)
		return
	}
	d := s.Width
	ParallelRows(s.N, d, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			normRow(s, x[r*d:(r+1)*d], w, y[r*d:(r+1)*d])
		}
	})
}

// NormBackward computes dx and, if w is not nil, dw. Mean and standard
// deviation are recomputed, because reading a row twice is cheaper than storing
// them.
func NormBackward[F Float](s Norm, x, w, dy, dx, dw []F) {
	f, lent := scratch[F](2 * s.Width)
	defer giveBack(lent)
	f, sums := f[:s.Width], f[s.Width:]
	normFactors(s, w, f)
	sumRows(s.N, s.Width, sums, func(lo, hi int, part []F) {
		for r := lo; r < hi; r++ {
			normRowBackward(s, x[r*s.Width:(r+1)*s.Width], f, dy[r*s.Width:(r+1)*s.Width], dx[r*s.Width:(r+1)*s.Width], part)
		}
	})
	copy(dw, sums)
}

// normRowBackward: with x̂ the normalised x and g = dy·f,
// dx = rstd·(g − mean(g) − x̂·mean(g·x̂)); without centring the middle term is
// missing.
func normRowBackward[F Float](s Norm, x, f, dy, dx, dw []F) {
	gw := s.Width / s.Groups
	for c0 := 0; c0 < s.Width; c0 += gw {
		xg, fg, dyg := x[c0:c0+gw], f[c0:c0+gw], dy[c0:c0+gw]
		mean, rstd := groupStats(s, xg)
		sum, sumX := vec.NormSums(xg, fg, dyg, mean, rstd)
		if !s.Centered {
			sum = 0
		}
		vec.NormGrad(xg, fg, dyg, mean, rstd, sum/F(gw), sumX/F(gw), dw[c0:c0+gw], dx[c0:c0+gw])
	}
}
