//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// Fuses reports whether there are kernels for a composite.
func (d *Device) Fuses(op ops.Composite) bool {
	switch op := op.(type) {
	case ops.AddNorm, ops.NormGradAdd, ops.Linears, ops.LinearsGrad, ops.CappedCrossEntropy, ops.CappedCrossEntropyGrad, ops.LossAndGrad, ops.LinearGradAgain, ops.LinearsGradAgain:
		return true
	case ops.Twin:
		switch op.Op.(type) {
		case ops.AddNorm, ops.NormGrad, ops.NormGradAdd, ops.LinearsGradAgain:
			return d.precision == BF16
		}
	case ops.GatedNorm:
		return op.Fn == ops.Sigmoid
	case ops.GatedNormGrad:
		return op.Fn == ops.Sigmoid
	case ops.Plus:
		return addsUp(op)
	case ops.Projections:
		return projects(op)
	case ops.ProjectionsGrad:
		return projects(op.Projections)
	case ops.GatedLinears:
		return d.gatesWell(op)
	case ops.MLSTMExit:
		return exits(op)
	case ops.MLSTMExitGrad:
		return exits(op.MLSTMExit)
	}
	return false
}

// addsUp reports whether the kernels of an operation add addends to its results.
func addsUp(p ops.Plus) bool {
	results := 1
	switch op := p.Op.(type) {
	case ops.ConvGrad:
		if op.K != convTaps {
			return false
		}
	case ops.HeadwiseGrad:
		if op.In >= narrow && op.Out >= narrow {
			return false
		}
	case ops.MLSTMGatesGrad:
		results = 3
	case ops.ProjectionsGrad:
		results = 2
	default:
		return false
	}
	return len(p.N) <= results && slices.Max(p.N) <= len(addends{})
}

// recomputed is the number of elements from which on results are computed again
// rather than kept: of smaller ones the launches cost more than the memory is worth.
const recomputed = 4 << 20

// Recomputes reports whether the backward pass repeats an operation: norms, and the
// gates of feed-forward layers and cells.
func (d *Device) Recomputes(op ops.Op) bool {
	switch op := op.(type) {
	case ops.Gated:
		return op.Shape.Size() >= recomputed
	case ops.Norm:
		return op.N*op.Width >= recomputed
	}
	return false
}
