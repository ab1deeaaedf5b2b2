package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// Ignored is the target that does not count.
const Ignored = -1

// counted is the number of targets that count.
func counted(targets []int) (n int) {
	for _, t := range targets {
		if t != Ignored {
			n++
		}
	}
	return n
}

// logSumExp returns log Σ e^x, kept finite by the row's maximum.
func logSumExp[F Float](row []F) float64 {
	top := vec.Max(row)
	return float64(top) + math.Log(float64(vec.ExpSum(row, top)))
}

// CrossEntropy returns the mean of −log softmax(logits)[target] in nats over
// the targets that count; 0 if none does. logits is [N,V].
func CrossEntropy[F Float](v int, logits []F, targets []int) float64 {
	n := counted(targets)
	if n == 0 {
		return 0
	}
	var sum [1]float64
	sumRows(len(targets), v, sum[:], func(lo, hi int, part []float64) {
		for r := lo; r < hi; r++ {
			if t := targets[r]; t != Ignored {
				row := logits[r*v : (r+1)*v]
				part[0] += logSumExp(row) - float64(row[t])
			}
		}
	})
	return sum[0] / float64(n)
}

// CrossEntropyGrad computes dlogits = (softmax − onehot)·g/n, zero in rows
// whose target does not count.
func CrossEntropyGrad[F Float](v int, logits []F, targets []int, g float64, dlogits []F) {
	scale := g / float64(max(1, counted(targets)))
	ParallelRows(len(targets), v, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			row, out := logits[r*v:(r+1)*v], dlogits[r*v:(r+1)*v]
			if targets[r] == Ignored {
				clear(out)
				continue
			}
			// The shift by the maximum is exact, and so is the sum beside the
			// largest term; the logarithm of the sum would cost digits of every
			// share.
			top := vec.Max(row)
			vec.ExpScale(out, F(scale/float64(vec.ExpSum(row, top))), top, row)
			out[targets[r]] -= F(scale)
		}
	})
}
