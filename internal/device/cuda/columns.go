//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"

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

// jointFor returns the backward pass of maps with the joint that it has if their gradients
// lie beside one another, and nothing bound.
func (d *Device) jointFor(grad ops.LinearsGrad) *linearBack {
	c := (&binder{d: d, dt: ops.Float32}).newLinearBack(grad)
	c.joined = true
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

// Rows returns the weights of linear maps of one input, in the order of the rows of a joint.
func (d *Device) Rows(op ops.Op) []int {
	grad, before, _, ok := jointMaps(op)
	if gated, is := op.(ops.GatedLinears); is {
		op = gated.Linears
	}
	if maps, forward := op.(ops.Linears); forward {
		grad, before = ops.LinearsGrad{Linears: maps}, 1
		for _, m := range maps.Maps {
			grad.Has = append(grad.Has, slices.Repeat([]bool{true}, len(m.Outs)))
		}
	} else if !ok {
		return nil
	}
	return d.inRows(grad, before, !ok)
}

// Writes returns the gradients of the weights of linear maps that the product of a joint
// writes.
func (d *Device) Writes(op ops.Op) []int {
	grad, _, before, ok := jointMaps(op)
	if !ok {
		return nil
	}
	return d.inRows(grad, before, true)
}

// inRows returns the numbers of operands in the order of a joint's rows: there is one for
// each map, behind those before the first, and another one for each bias.
func (d *Device) inRows(grad ops.LinearsGrad, before int, biases bool) (operands []int) {
	number := make([]int, len(grad.Maps))
	for k, m := range grad.Maps {
		number[k] = before
		if before++; m.Bias && biases {
			before++
		}
	}
	for _, k := range d.jointFor(grad).inOrder() {
		operands = append(operands, number[k])
	}
	return operands
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
// of a matrix: the gradients of q, k and v by Hopper's warpgroups, that of an output gate
// beside a norm of heads, and those of a gated activation's operands.
func (d *Device) WritesColumns(op ops.Op, half device.Half, k int) bool {
	switch op := op.(type) {
	case ops.MLSTMGrad:
		return k < 3 && d.warpgroups(op.MLSTM, ops.Float32)
	case ops.GatedNormGrad:
		return k == 0 && half.Reads(0) && half.Reads(1) && half.Reads(len(op.Inputs())-1) && wideNorm(op.Norm)
	case ops.GatedGrad:
		return k < 2 && eights(op.Shape)
	case ops.LinearGradAgain:
		switch inner := op.Inner.(type) {
		case ops.GatedNorm:
			return k == 0 && half.Reads(0) && half.Reads(1) && d.precision == BF16 && wideNorm(inner.Norm)
		case ops.Gated:
			return k < 2 && eights(inner.Shape)
		}
	}
	return false
}

// eights reports whether rows of this shape consist of groups of eight elements.
func eights(s ops.Shape) bool { return s[len(s)-1]%8 == 0 }

// wideNorm reports whether the kernels of a norm are those of norm_wide, or of norm_halves
// if its operands are in bfloat16.
func wideNorm(op ops.Norm) bool {
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
