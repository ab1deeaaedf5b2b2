package kernels

import "math"

// Float is an element type of the kernels.
type Float interface{ float32 | float64 }

func exp[F Float](x F) F { return F(math.Exp(float64(x))) }

func tanh[F Float](x F) F { return F(math.Tanh(float64(x))) }

// sigmoid is 1/(1+e^−x); at ±∞ it is 1 and 0, never NaN.
func sigmoid[F Float](x F) F { return F(1 / (1 + math.Exp(-float64(x)))) }

// logSigmoid is log σ(x) = −softplus(−x), in the form that overflows on neither
// side.
func logSigmoid(x float64) float64 {
	return math.Min(x, 0) - math.Log1p(math.Exp(-math.Abs(x)))
}

func dot[F Float](a, b []F) F {
	var s F
	b = b[:len(a)]
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// axpy adds alpha·x to y.
func axpy[F Float](alpha F, x, y []F) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += alpha * v
	}
}

// scaleTo writes alpha·x to y.
func scaleTo[F Float](alpha F, x, y []F) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] = alpha * v
	}
}
