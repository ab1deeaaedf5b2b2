package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// Float is an element type of the kernels.
type Float interface{ float32 | float64 }

func exp[F Float](x F) F { return F(math.Exp(float64(x))) }

// logSigmoid is log σ(x).
func logSigmoid(x float64) float64 { return vec.LogSigmoid.At(x) }

func sigmoid(x float64) float64 { return vec.Sigmoid.At(x) }

// dot64 accumulates in float64, for the few sums on which whole sequences hang.
func dot64[F Float](a, b []F) float64 {
	var s float64
	b = b[:len(a)]
	for i, v := range a {
		s += float64(v) * float64(b[i])
	}
	return s
}

func dot[F Float](a, b []F) F { return vec.Dot(a, b) }

// axpy adds alpha·x to y.
func axpy[F Float](alpha F, x, y []F) { vec.Axpy(y[:len(x)], alpha, x) }

// scaleTo writes alpha·x to y.
func scaleTo[F Float](alpha F, x, y []F) { vec.Scale(y[:len(x)], alpha, x) }
