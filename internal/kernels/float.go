package kernels

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm/internal/vec"
)

// Float is an element type of the kernels.
type Float = vec.Float

func exp[F Float](x F) F { return F(math.Exp(float64(x))) }

// logSigmoid is log σ(x).
func logSigmoid(x float64) float64 { return vec.LogSigmoid.At(x) }

func sigmoid(x float64) float64 { return vec.Sigmoid.At(x) }
