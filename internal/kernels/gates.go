package kernels

// The primitives of exponential gating (paper, equations 15–17), as the
// symbolic layers use them. In the fused cells they are part of the scan.

// Stabilize computes m' = max(logF + m, i~), the stabiliser state. n may be
// nil; where it is given and zero, the memory is empty and m' = i~.
func Stabilize[F Float](logF, m, i, n, y []F) {
	for k := range y {
		y[k] = i[k]
		if forgets := n == nil || n[k] != 0; forgets {
			y[k] = max(logF[k]+m[k], i[k])
		}
	}
}

// StabilizeGrad passes dy to the larger argument: to i~, or to both logF and m.
func StabilizeGrad[F Float](logF, m, i, n, dy, dForget, dInput []F) {
	for k, g := range dy {
		dForget[k], dInput[k] = 0, g
		if (n == nil || n[k] != 0) && logF[k]+m[k] >= i[k] {
			dForget[k], dInput[k] = g, 0
		}
	}
}

// ExpGate computes y = exp(x − m), a gate made finite by its stabiliser.
func ExpGate[F Float](x, m, y []F) {
	for k := range y {
		y[k] = exp(x[k] - m[k])
	}
}

// Maximum computes y = max(a, b).
func Maximum[F Float](a, b, y []F) {
	for k := range y {
		y[k] = max(a[k], b[k])
	}
}

// MaximumGrad passes dy to the larger of a and b, and to a if they are equal.
func MaximumGrad[F Float](a, b, dy, da, db []F) {
	for k, g := range dy {
		da[k], db[k] = g, 0
		if b[k] > a[k] {
			da[k], db[k] = 0, g
		}
	}
}
