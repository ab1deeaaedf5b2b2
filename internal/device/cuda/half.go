//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// Half returns the operands that may be stored in bfloat16: with the precision
// BF16 those of products and of what is done element by element between
// products. Weights of norms, biases, gates, states, the residual stream, the
// gradients of parameters and the loss remain float32.
func (d *Device) Half(op ops.Op) device.Half {
	if d.precision != BF16 {
		return device.Half{}
	}
	for _, of := range []func(d *Device, op ops.Op) (device.Half, bool){halfOfProduct, halfOfElements, halfOfCell, halfOfComposite} {
		if h, ok := of(d, op); ok {
			return h
		}
	}
	return device.Half{}
}

const yes, no = true, false

// halfOfProduct, and those that follow, return what Half does for one kind of
// operations, and report whether op is one of them.
func halfOfProduct(d *Device, op ops.Op) (device.Half, bool) {
	switch op := op.(type) {
	case ops.Linear:
		return device.Half{In: []bool{yes, yes}, Out: all(op.Outputs())}, true
	case ops.LinearGrad:
		return device.Half{In: all(op.Inputs()), Out: []bool{yes}}, true
	case ops.PackedLinear:
		return device.Half{In: []bool{yes}, Out: all(op.Outputs())}, true
	case ops.Linears:
		in := all(op.Inputs())
		at := 1
		for _, m := range op.Maps {
			if at++; m.Bias {
				in[at] = no
				at++
			}
		}
		return device.Half{In: in, Out: all(op.Outputs())}, true
	case ops.GatedLinears:
		h := d.Half(op.Linears)
		return device.Half{In: h.In, Out: all(op.Outputs())}, true
	case ops.LinearsGrad:
		return device.Half{In: all(op.Inputs()), Out: []bool{yes}}, true
	case ops.LinearsGradAgain:
		in := all(op.Inputs())
		in[1], in[len(in)-1] = !op.Norm.Weight, no
		return device.Half{In: in}, true
	case ops.Projections:
		return device.Half{In: []bool{yes, yes}, Out: []bool{yes, yes, yes}}, true
	case ops.ProjectionsGrad:
		in := make([]bool, len(op.Inputs()))
		for _, k := range []int{0, 1, 5, 6, 7, 10, 11, 12} { // c, x; q, k, v; their gradients
			in[k] = yes
		}
		return device.Half{In: in}, true
	}
	return device.Half{}, false
}

// halfOfElements is for what is done element by element or row by row.
func halfOfElements(_ *Device, op ops.Op) (device.Half, bool) {
	switch op := op.(type) {
	case ops.Norm:
		return device.Half{In: []bool{yes}, Out: []bool{yes}}, true
	case ops.NormGrad:
		return device.Half{In: ends(op, 1), Out: []bool{yes}}, true
	case ops.GatedNorm:
		return device.Half{In: []bool{yes, yes}, Out: []bool{yes}}, true
	case ops.GatedNormGrad:
		return device.Half{In: ends(op, 2), Out: []bool{yes, yes}}, true
	case ops.AddNorm:
		return device.Half{In: []bool{no, yes}, Out: []bool{no, yes}}, true
	case ops.NormGradAdd: // more is the gradient of the residual stream
		return device.Half{In: append(ends(ops.NormGrad(op), 1), no), Out: []bool{no}}, true
	case ops.Gated, ops.GatedGrad, ops.Activate, ops.ActivateGrad:
		return device.Half{In: all(op.Inputs()), Out: all(op.Outputs())}, true
	case ops.Add: // a residual stream and what is added to it
		return device.Half{In: []bool{no, yes}}, true
	case ops.ForkGrad:
		return device.Half{In: all(op.Inputs())}, true
	case ops.Reshape:
		return device.Half{Out: []bool{yes}}, true
	case ops.CrossEntropy, ops.CappedCrossEntropy:
		return device.Half{In: []bool{yes}}, true
	case ops.CrossEntropyGrad, ops.CappedCrossEntropyGrad:
		return device.Half{In: []bool{yes}, Out: []bool{yes}}, true
	case ops.LossAndGrad:
		return device.Half{In: []bool{yes}, Out: []bool{no, yes}}, true
	case ops.AdamStep:
		return device.Half{Out: append(make([]bool, 3*len(op.Sizes)), all(op.Outputs()[3*len(op.Sizes):])...)}, true
	}
	return device.Half{}, false
}

// halfOfCell is for mLSTM cells, their convolutions and their exits.
func halfOfCell(_ *Device, op ops.Op) (device.Half, bool) {
	switch op := op.(type) {
	case ops.MLSTM:
		return device.Half{In: []bool{yes, yes, yes}, Out: []bool{yes}}, true
	case ops.MLSTMGrad:
		in := []bool{yes, yes, yes, no, no}
		if op.State {
			in = append(in, no, no, no)
		}
		if in = append(in, yes); op.Tape > 0 {
			in = append(in, no)
		}
		return device.Half{In: append(in, op.Has[0]), Out: []bool{yes, yes, yes}}, true
	case ops.MLSTMExit:
		return device.Half{In: []bool{yes, no, yes, no, yes}, Out: []bool{yes}}, true
	case ops.MLSTMExitGrad:
		return device.Half{In: []bool{yes, no, yes, no, yes, yes}, Out: []bool{yes, no, yes, no, yes}}, true
	case ops.Conv:
		return device.Half{In: []bool{yes}, Out: []bool{yes}}, true
	case ops.ConvGrad:
		in := make([]bool, len(op.Inputs()))
		if in[0] = yes; op.Has[0] {
			in[len(ops.Conv{Window: op.Window}.Inputs())] = yes
		}
		return device.Half{In: in, Out: []bool{yes}}, true
	}
	return device.Half{}, false
}

// halfOfComposite is for composites of any operation.
func halfOfComposite(d *Device, op ops.Op) (device.Half, bool) {
	switch op := op.(type) {
	case ops.Plus:
		return d.Half(op.Op), true // not of the addends
	case ops.Twin:
		h := d.Half(op.Op)
		h.Out = append(append(h.Out, make([]bool, len(op.Op.Outputs())-len(h.Out))...), yes)
		return h, true
	case ops.LinearGradAgain:
		inner, up := d.Half(op.Inner), len(op.Outputs())-1
		inner.In = append(append(inner.In, make([]bool, len(op.Inner.Inputs())-len(inner.In))...), yes, yes)
		return device.Half{In: inner.In, Out: append([]bool{yes, yes}, make([]bool, up-1)...)}, true
	}
	return device.Half{}, false
}

// ends marks the first n inputs of an operation and the last one.
func ends(op ops.Op, n int) []bool {
	in := make([]bool, len(op.Inputs()))
	for k := range n {
		in[k] = yes
	}
	in[len(in)-1] = yes
	return in
}

// all marks all operands.
func all(args []ops.Arg) []bool {
	marks := make([]bool, len(args))
	for k := range marks {
		marks[k] = true
	}
	return marks
}

// AsHalf returns n elements of bfloat16 in the memory of b.
func (d *Device) AsHalf(b device.Buffer, n int) device.Buffer {
	return buffer{at: b.(buffer).at, dt: ops.BFloat16, n: n}
}
