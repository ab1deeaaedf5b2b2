//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// jointMaps returns the derivative of linear maps in an operation that may have a joint, and
// how many inputs there are before the weights and results before their gradients.
func jointMaps(op ops.Op) (grad ops.LinearsGrad, in, out int, ok bool) {
	if twin, is := op.(ops.Twin); is {
		op = twin.Op
	}
	switch op := op.(type) {
	case ops.LinearsGrad:
		return op, 1, 1, true
	case ops.LinearsGradAgain:
		norm := len(op.Norm.Inputs())
		return op.LinearsGrad, norm, norm, true // dx, and dw of the norm if it has a weight
	}
	return grad, 0, 0, false
}

// jointFor returns the backward pass of maps with its joint, and nothing bound.
func (d *Device) jointFor(grad ops.LinearsGrad) *linearBack {
	c := (&binder{d: d, dt: ops.Float32}).newLinearBack(grad)
	c.joint = c.jointOf()
	return c
}

// Joins returns the gradients of the results of linear maps whose joint reads them.
func (d *Device) Joins(op ops.Op, half device.Half) (device.Joint, bool) {
	grad, before, _, ok := jointMaps(op)
	if !ok {
		return device.Joint{}, false
	}
	j := d.jointFor(grad).joint
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

// Writes returns the gradients of the weights of linear maps that the product of a joint
// writes.
func (d *Device) Writes(op ops.Op) (out []int) {
	grad, _, before, ok := jointMaps(op)
	if !ok {
		return nil
	}
	number := make([]int, len(grad.Maps))
	for k, m := range grad.Maps {
		number[k] = before
		if before++; m.Bias {
			before++
		}
	}
	for _, k := range d.jointFor(grad).inOrder() {
		out = append(out, number[k])
	}
	return out
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

// arranged lets the operands of an operation lie as half says, while its workspace is
// counted.
func (b *binder) arranged(op ops.Op, half device.Half) {
	if half.Joined {
		j, _ := b.d.Joins(op, half)
		for _, k := range j.In {
			b.in[k] = columnsIn(b.in[k], j)
		}
	}
	if half.Consecutive {
		at := address(b.d.Alignment())
		for _, k := range b.d.Writes(op) {
			b.out[k].at = at
			at += address(b.out[k].n * b.dt.Size())
		}
	}
}
