package kernels

import "github.com/gorgonia-xlstm/xlstm/internal/vec"

// Activation names an element-wise function.
type Activation = vec.Activation

// The activations of the official feed-forward layers, and those of the gates.
const (
	Sigmoid     = vec.Sigmoid
	LogSigmoid  = vec.LogSigmoid
	Tanh        = vec.Tanh
	SiLU        = vec.SiLU
	GELU        = vec.GELU // exact: x·Φ(x), with the error function
	ReLU        = vec.ReLU
	ReLUSquared = vec.ReLUSquared
	SELU        = vec.SELU
)

// activationCost is how many elements of plain arithmetic one of an activation
// costs, about.
const activationCost = 4

// Activate computes y = a(x).
func Activate[F Float](a Activation, x, y []F) {
	ParallelRows(len(x), activationCost, func(lo, hi int) { vec.Activate(a, x[lo:hi], y[lo:hi]) })
}

// ActivateGrad computes dx = dy·a'(x).
func ActivateGrad[F Float](a Activation, x, dy, dx []F) {
	ParallelRows(len(x), activationCost, func(lo, hi int) { vec.ActivateGrad(a, x[lo:hi], dy[lo:hi], dx[lo:hi]) })
}

// Gated computes y = a(g)⊙u, the gate of the feed-forward layer.
func Gated[F Float](a Activation, g, u, y []F) {
	if alone(activationCost * len(g)) {
		vec.Gated(a, g, u, y)
		return
	}
	ParallelRows(len(g), activationCost, func(lo, hi int) { vec.Gated(a, g[lo:hi], u[lo:hi], y[lo:hi]) })
}

// GatedGrad computes the gradients of Gated.
func GatedGrad[F Float](a Activation, g, u, dy, dg, du []F) {
	ParallelRows(len(g), activationCost, func(lo, hi int) {
		vec.GatedGrad(a, g[lo:hi], u[lo:hi], dy[lo:hi], dg[lo:hi], du[lo:hi])
	})
}

// SoftCap computes y = cap·tanh(x/cap), which keeps gates and logits of the
// xLSTM-7B architecture within ±cap.
func SoftCap[F Float](cap F, x, y []F) {
	ParallelRows(len(x), activationCost, func(lo, hi int) { vec.SoftCap(cap, x[lo:hi], y[lo:hi]) })
}

// SoftCapGrad computes dx from the output y of SoftCap.
func SoftCapGrad[F Float](cap F, y, dy, dx []F) {
	ParallelRows(len(y), activationCost, func(lo, hi int) { vec.SoftCapGrad(cap, y[lo:hi], dy[lo:hi], dx[lo:hi]) })
}

// SkipGate computes y = (h + skip⊙c)⊙SiLU(z), the output stage of the mLSTM
// layer (paper, figure 11): h, c, z, y [N,D], skip [D].
func SkipGate[F Float](n, d int, h, c, skip, z, y []F) {
	if n == 1 && alone(activationCost*d) {
		vec.SkipGate(h, c, skip, z, y)
		return
	}
	ParallelRows(n, activationCost*d, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			at, end := r*d, (r+1)*d
			vec.SkipGate(h[at:end], c[at:end], skip, z[at:end], y[at:end])
		}
	})
}

// SkipGateGrad computes the gradients of SkipGate.
func SkipGateGrad[F Float](n, d int, h, c, skip, z, dy, dh, dc, dskip, dz []F) {
	sumRows(n, activationCost*d, dskip, func(lo, hi int, part []F) {
		for r := lo; r < hi; r++ {
			at, end := r*d, (r+1)*d
			vec.SkipGateGrad(h[at:end], c[at:end], skip, z[at:end], dy[at:end], part, dh[at:end], dc[at:end], dz[at:end])
		}
	})
}
