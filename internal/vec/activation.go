package vec

import "math"

// Activation names an element-wise function.
type Activation int

// The activations of the official feed-forward layers, and those of the gates.
const (
	Sigmoid Activation = iota
	LogSigmoid
	Tanh
	SiLU
	GELU // exact: x·Φ(x), with the error function
	ReLU
	ReLUSquared
	SELU
)

// The constants of SELU (Klambauer et al., 2017).
const (
	seluAlpha = 1.6732632423543772848170429916717
	seluScale = 1.0507009873554804934193349852946
)

// At returns the value of the function at x.
func (a Activation) At(x float64) float64 {
	switch a {
	case Sigmoid:
		return 1 / (1 + math.Exp(-x))
	case LogSigmoid:
		return math.Min(x, 0) - math.Log1p(math.Exp(-math.Abs(x)))
	case Tanh:
		return math.Tanh(x)
	case SiLU:
		return silu(x)
	case GELU:
		return finite(x) * 0.5 * math.Erfc(-x/math.Sqrt2)
	case ReLU:
		return math.Max(x, 0)
	case ReLUSquared:
		r := math.Max(x, 0)
		return r * r
	}
	if x > 0 { // SELU
		return seluScale * x
	}
	return seluScale * seluAlpha * math.Expm1(x)
}

// finite bounds a factor from below where the other factor is zero, so that the
// product at −∞ is zero too.
func finite(x float64) float64 { return math.Max(-1000, x) }

// silu is x·σ(x), with the limit 0 at −∞.
func silu(x float64) float64 { return finite(x) * Sigmoid.At(x) }

// SlopeAt returns the derivative at x.
func (a Activation) SlopeAt(x float64) float64 {
	switch a {
	case Sigmoid:
		return Sigmoid.At(x) * Sigmoid.At(-x)
	case LogSigmoid:
		return Sigmoid.At(-x)
	case Tanh:
		t := math.Tanh(x)
		return 1 - t*t
	case SiLU:
		x = math.Min(finite(x), 1000)
		return Sigmoid.At(x) * (1 + x*Sigmoid.At(-x))
	case GELU:
		x = math.Min(finite(x), 1000)
		return 0.5*math.Erfc(-x/math.Sqrt2) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	case ReLU:
		if x > 0 {
			return 1
		}
		if x <= 0 {
			return 0
		}
		return x // NaN
	case ReLUSquared:
		return 2 * math.Max(x, 0)
	}
	if x > 0 { // SELU
		return seluScale
	}
	return seluScale * seluAlpha * math.Exp(x)
}

// assembly is the kernels of an activation.
type assembly struct {
	value     func(n int, x, y *float32)
	grad      func(n int, x, dy, dx *float32)
	gated     func(n int, g, u, y *float32)
	gatedGrad func(n int, g, u, dy, dg, du *float32)
}

// assemblyOf returns the kernels of a for element type F, if there are any.
func assemblyOf[F Float](a Activation) (k assembly, ok bool) {
	if !fast[F]() {
		return k, false
	}
	switch a {
	case Sigmoid:
		return assembly{best.sigmoid, best.sigmoidGrad, best.sigmoidGated, best.sigmoidGatedGrad}, true
	case LogSigmoid:
		return assembly{best.logSigmoid, best.logSigmoidGrad, best.logSigmoidGated, best.logSigmoidGatedGrad}, true
	case Tanh:
		return assembly{best.tanh, best.tanhGrad, best.tanhGated, best.tanhGatedGrad}, true
	case SiLU:
		return assembly{best.silu, best.siluGrad, best.siluGated, best.siluGatedGrad}, true
	case GELU:
		return assembly{best.gelu, best.geluGrad, best.geluGated, best.geluGatedGrad}, true
	}
	return k, false
}

// Activate computes y = a(x).
func Activate[F Float](a Activation, x, y []F) {
	n := len(y)
	if k, ok := assemblyOf[F](a); ok {
		k.value(n, ptr(x, n), ptr(y, n))
		return
	}
	for i, v := range first(x, n) {
		y[i] = F(a.At(float64(v)))
	}
}

// ActivateGrad computes dx = dy⊙a'(x).
func ActivateGrad[F Float](a Activation, x, dy, dx []F) {
	n := len(dx)
	if k, ok := assemblyOf[F](a); ok {
		k.grad(n, ptr(x, n), ptr(dy, n), ptr(dx, n))
		return
	}
	for i, v := range first(x, n) {
		dx[i] = dy[i] * F(a.SlopeAt(float64(v)))
	}
}

// Gated computes y = a(g)⊙u, the gate of the feed-forward layer.
func Gated[F Float](a Activation, g, u, y []F) {
	n := len(y)
	if k, ok := assemblyOf[F](a); ok {
		k.gated(n, ptr(g, n), ptr(u, n), ptr(y, n))
		return
	}
	for i, v := range first(g, n) {
		y[i] = F(a.At(float64(v))) * u[i]
	}
}

// GatedGrad computes the gradients of Gated: dg = dy⊙u⊙a'(g), du = dy⊙a(g).
func GatedGrad[F Float](a Activation, g, u, dy, dg, du []F) {
	n := len(dg)
	if k, ok := assemblyOf[F](a); ok {
		k.gatedGrad(n, ptr(g, n), ptr(u, n), ptr(dy, n), ptr(dg, n), ptr(du, n))
		return
	}
	for i, v := range first(g, n) {
		x := float64(v)
		up := dy[i]
		dg[i], du[i] = up*u[i]*F(a.SlopeAt(x)), up*F(a.At(x))
	}
}

// SoftCap computes y = cap·tanh(x/cap).
func SoftCap[F Float](cap F, x, y []F) {
	n := len(y)
	if fast[F]() {
		best.softCap(n, ptr(x, n), ptr(y, n), float32(cap), 1/float32(cap))
		return
	}
	for i, v := range first(x, n) {
		y[i] = cap * F(math.Tanh(float64(v/cap)))
	}
}

// SoftCapGrad computes dx = dy⊙(1 − (y/cap)²) from the output y of SoftCap.
func SoftCapGrad[F Float](cap F, y, dy, dx []F) {
	n := len(dx)
	if fast[F]() {
		best.softCapGrad(n, ptr(y, n), ptr(dy, n), ptr(dx, n), 1/float32(cap))
		return
	}
	for i, v := range first(y, n) {
		t := v / cap
		dx[i] = dy[i] * (1 - t*t)
	}
}
