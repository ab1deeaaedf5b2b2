//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// Joins returns the gradients of the results of linear maps whose joint reads them.
func (d *Device) Joins(op ops.Op, half device.Half) (device.Joint, bool) {
	if twin, ok := op.(ops.Twin); ok {
		op = twin.Op
	}
	grad, before := ops.LinearsGrad{}, 1
	switch op := op.(type) {
	case ops.LinearsGrad:
		grad = op
	case ops.LinearsGradAgain:
		grad, before = op.LinearsGrad, len(op.Norm.Inputs())
	default:
		return device.Joint{}, false
	}
	j := (&binder{d: d, dt: ops.Float32}).newLinearBack(grad).jointOf()
	at := device.Joint{Rows: grad.Maps[0].Rows, LD: j.ld}
	for _, b := range j.blocks {
		in := before + len(grad.Maps) + upNumber(grad, b)
		if grad.Maps[b.k].Bias || !half.Reads(in) {
			return device.Joint{}, false
		}
		at.In, at.Columns = append(at.In, in), append(at.Columns, b.column)
	}
	return at, j.width > 0
}

// upNumber returns the number of a block's gradient among those that a derivative reads.
func upNumber(op ops.LinearsGrad, b jointBlock) (n int) {
	for k, has := range op.Has[:b.k+1] {
		for o := range has {
			if has[o] && (k < b.k || o < b.block.Out) {
				n++
			}
		}
	}
	return n
}

// WritesColumns reports whether the kernels of an operation can write a result as columns
// of a matrix: the gradients of q, k and v by Hopper's warpgroups, and that of an output
// gate beside a norm of heads.
func (d *Device) WritesColumns(op ops.Op, half device.Half, k int) bool {
	switch op := op.(type) {
	case ops.MLSTMGrad:
		return k < 3 && d.warpgroups(op.MLSTM, ops.Float32)
	case ops.GatedNormGrad:
		return k == 0 && half.Reads(0) && half.Reads(1) && half.Reads(len(op.Inputs())-1) && gateColumns(op.Norm)
	case ops.LinearGradAgain:
		inner, ok := op.Inner.(ops.GatedNorm)
		return ok && k == 0 && half.Reads(0) && half.Reads(1) && d.precision == BF16 && gateColumns(inner.Norm)
	}
	return false
}

// gateColumns reports whether the kernels of a norm with operands in bfloat16 are those
// of norm_halves.
func gateColumns(op ops.Norm) bool {
	s, err := newNormShape(op.Width / op.Groups)
	return err == nil && s.wide
}

// AsColumns returns input k of a joint in the memory of b.
func (d *Device) AsColumns(b device.Buffer, j device.Joint, k, n int) device.Buffer {
	return columnsIn(buffer{at: b.(buffer).at + address(2*j.Columns[k]), dt: ops.BFloat16, n: n}, j)
}

func columnsIn(b buffer, j device.Joint) buffer {
	b.ld, b.rows = j.LD, j.Rows
	return b
}

// joined returns the inputs of an operation with those of its joint as columns.
func (d *Device) joined(op ops.Op, half device.Half, in []buffer) []buffer {
	in = slices.Clone(in)
	if j, ok := d.Joins(op, half); ok {
		for _, k := range j.In {
			in[k] = columnsIn(in[k], j)
		}
	}
	return in
}
