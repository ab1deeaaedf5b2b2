//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// Splits returns the residual stream and its gradient, which the kernels of wide norms
// take split.
func (d *Device) Splits(op ops.Op) (in int, out bool) {
	twin, out := op.(ops.Twin)
	if out {
		op = twin.Op
	}
	in = -1
	var norm ops.Norm
	switch op := op.(type) {
	case ops.AddNorm:
		in, norm = 0, op.Norm
	case ops.NormGrad:
		norm = op.Norm
	case ops.NormGradAdd:
		in, norm = len(op.Inputs())-1, op.Norm
	case ops.LinearsGradAgain:
		in, norm = len(op.Inputs())-1, op.Norm
	default:
		return -1, false
	}
	if !wideNorm(norm) {
		return -1, false
	}
	return in, out
}

// AsSplit returns numbers with their rests in the memory of b.
func (d *Device) AsSplit(b, twin device.Buffer) device.Buffer {
	t := twin.(buffer)
	return buffer{at: t.at, dt: ops.Float32, n: t.n, rests: b.(buffer).at}
}
