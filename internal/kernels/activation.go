package kernels

import "math"

// Activation names an element-wise function.
type Activation int

// The activations of the official feed-forward layers, and the gates' own.
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

// value is the function, in float64.
func (a Activation) value(x float64) float64 {
	switch a {
	case Sigmoid:
		return sigmoid(x)
	case LogSigmoid:
		return logSigmoid(x)
	case Tanh:
		return math.Tanh(x)
	case SiLU:
		return silu(x)
	case GELU:
		return x * 0.5 * math.Erfc(-x/math.Sqrt2)
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

// silu is x·σ(x), with the limit 0 at −∞.
func silu(x float64) float64 {
	if math.IsInf(x, -1) {
		return 0
	}
	return x * sigmoid(x)
}

// slope is the derivative, in float64.
func (a Activation) slope(x float64) float64 {
	switch a {
	case Sigmoid:
		s := sigmoid(x)
		return s * (1 - s)
	case LogSigmoid:
		return sigmoid(-x)
	case Tanh:
		t := math.Tanh(x)
		return 1 - t*t
	case SiLU:
		s := sigmoid(x)
		return s + silu(x)*(1-s)
	case GELU:
		return 0.5*math.Erfc(-x/math.Sqrt2) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
	case ReLU:
		if x > 0 {
			return 1
		}
		return 0
	case ReLUSquared:
		return 2 * math.Max(x, 0)
	}
	if x > 0 { // SELU
		return seluScale
	}
	return seluScale * seluAlpha * math.Exp(x)
}

// Activate computes y = a(x).
func Activate[F Float](a Activation, x, y []F) {
	ParallelRows(len(x), 16, func(lo, hi int) {
		for i, v := range x[lo:hi] {
			y[lo+i] = F(a.value(float64(v)))
		}
	})
}

// ActivateGrad computes dx = dy·a'(x).
func ActivateGrad[F Float](a Activation, x, dy, dx []F) {
	ParallelRows(len(x), 16, func(lo, hi int) {
		for i, v := range x[lo:hi] {
			dx[lo+i] = dy[lo+i] * F(a.slope(float64(v)))
		}
	})
}

// Gated computes y = a(g)⊙u, the gate of the feed-forward layer.
func Gated[F Float](a Activation, g, u, y []F) {
	ParallelRows(len(g), 16, func(lo, hi int) {
		for i, v := range g[lo:hi] {
			y[lo+i] = F(a.value(float64(v))) * u[lo+i]
		}
	})
}

// GatedGrad computes the gradients of Gated.
func GatedGrad[F Float](a Activation, g, u, dy, dg, du []F) {
	ParallelRows(len(g), 16, func(lo, hi int) {
		for i, v := range g[lo:hi] {
			x := float64(v)
			dg[lo+i] = dy[lo+i] * u[lo+i] * F(a.slope(x))
			du[lo+i] = dy[lo+i] * F(a.value(x))
		}
	})
}

// SoftCap computes y = cap·tanh(x/cap), which keeps gates and logits of the
// xLSTM-7B architecture within ±cap.
func SoftCap[F Float](cap F, x, y []F) {
	ParallelRows(len(x), 16, func(lo, hi int) {
		for i, v := range x[lo:hi] {
			y[lo+i] = cap * tanh(v/cap)
		}
	})
}

// SoftCapGrad computes dx from the output y of SoftCap.
func SoftCapGrad[F Float](cap F, y, dy, dx []F) {
	ParallelRows(len(y), 16, func(lo, hi int) {
		for i, v := range y[lo:hi] {
			t := v / cap
			dx[lo+i] = dy[lo+i] * (1 - t*t)
		}
	})
}

// SkipGate computes y = (h + skip⊙c)⊙SiLU(z), the exit of the mLSTM layer
// (paper, figure 11): h, c, z, y [N,D], skip [D].
func SkipGate[F Float](n, d int, h, c, skip, z, y []F) {
	ParallelRows(n, d, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			for j, s := range skip[:d] {
				k := r*d + j
				y[k] = (h[k] + s*c[k]) * F(silu(float64(z[k])))
			}
		}
	})
}

// SkipGateGrad computes the gradients of SkipGate.
func SkipGateGrad[F Float](n, d int, h, c, skip, z, dy, dh, dc, dskip, dz []F) {
	sumRows(n, d, dskip, func(lo, hi int, part []F) {
		for r := lo; r < hi; r++ {
			for j, s := range skip[:d] {
				k := r*d + j
				x := float64(z[k])
				g := dy[k] * F(silu(x))
				dh[k] = g
				dc[k] = g * s
				part[j] += g * c[k]
				dz[k] = dy[k] * (h[k] + s*c[k]) * F(SiLU.slope(x))
			}
		}
	})
}
