package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// Adam holds the coefficients of one step of Adam or AdamW.
type Adam = vec.Adam

// AdamStep takes a step; see vec.AdamStep.
func AdamStep[F Float](k Adam, g, m, v, w []F) { vec.AdamStep(k, g, m, v, w) }

// Squares returns Σx², summed in float64.
func Squares[F Float](x []F) (sum float64) {
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum
}

// MoveMean moves a mean towards x by the given share of the difference.
func MoveMean[F Float](share F, x, mean []F) {
	if share == 1 {
		copy(mean, x)
		return
	}
	for i, v := range x {
		mean[i] += (v - mean[i]) * share
	}
}
