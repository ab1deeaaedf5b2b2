//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"

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
	const yes, no = true, false
	switch op := op.(type) {
	case ops.Linears:
		in := all(op.Inputs())
		at := 1
		for _, m := range op.Maps {
			if at++; m.Bias {
				in[at] = no
				at++
			}
		}
		return device.Half{In: in, Out: all(op.Outputs())}
	case ops.LinearsGrad:
		return device.Half{In: all(op.Inputs()), Out: []bool{yes}}
	case ops.Projections:
		return device.Half{In: []bool{yes, yes}, Out: []bool{yes, yes, yes}}
	case ops.ProjectionsGrad:
		in := make([]bool, len(op.Inputs()))
		for _, k := range []int{0, 1, 5, 6, 7, 10, 11, 12} { // c, x; q, k, v; their gradients
			in[k] = yes
		}
		return device.Half{In: in}
	case ops.MLSTMExit:
		return device.Half{In: []bool{yes, no, yes, no, yes}, Out: []bool{yes}}
	case ops.MLSTMExitGrad:
		return device.Half{In: []bool{yes, no, yes, no, yes, yes}, Out: []bool{yes, no, yes, no, yes}}
	case ops.Conv:
		return device.Half{In: []bool{yes}, Out: []bool{yes}}
	case ops.ConvGrad:
		in := make([]bool, len(op.Inputs()))
		if in[0] = yes; op.Has[0] {
			in[len(ops.Conv{Window: op.Window}.Inputs())] = yes
		}
		return device.Half{In: in, Out: []bool{yes}}
	case ops.Plus:
		return d.Half(op.Op) // not of the addends
	case ops.AddNorm:
		return device.Half{In: []bool{no, yes}, Out: []bool{no, yes}}
	case ops.NormGradAdd: // more is the gradient of the residual stream
		return device.Half{In: append(d.Half(ops.NormGrad(op)).In, no), Out: []bool{no}}
	case ops.Twin:
		h := d.Half(op.Op)
		h.Out = append(append(h.Out, make([]bool, len(op.Op.Outputs())-len(h.Out))...), yes)
		return h
	case ops.LinearGradAgain:
		inner, up := d.Half(op.Inner), len(op.Outputs())-1
		inner.In = append(append(inner.In, make([]bool, len(op.Inner.Inputs())-len(inner.In))...), yes, yes)
		return device.Half{In: inner.In, Out: append([]bool{yes, yes}, make([]bool, up-1)...)}
	case ops.LinearsGradAgain:
		in := all(op.Inputs())
		in[1], in[len(in)-1] = !op.Norm.Weight, no
		return device.Half{In: in}
	case ops.LossAndGrad:
		return device.Half{In: []bool{yes}, Out: []bool{no, yes}}
	case ops.GatedNorm:
		return device.Half{In: []bool{yes, yes}, Out: []bool{yes}}
	case ops.GatedNormGrad:
		in := make([]bool, len(op.Inputs()))
		in[0], in[1], in[len(in)-1] = yes, yes, yes
		return device.Half{In: in, Out: []bool{yes, yes}}
	case ops.CrossEntropy, ops.CappedCrossEntropy:
		return device.Half{In: []bool{yes}}
	case ops.CrossEntropyGrad, ops.CappedCrossEntropyGrad:
		return device.Half{In: []bool{yes}, Out: []bool{yes}}
	case ops.Linear:
		return device.Half{In: []bool{yes, yes}, Out: all(op.Outputs())}
	case ops.LinearGrad:
		return device.Half{In: all(op.Inputs()), Out: []bool{yes}}
	case ops.Norm:
		return device.Half{In: []bool{yes}, Out: []bool{yes}}
	case ops.NormGrad:
		in := make([]bool, len(op.Inputs()))
		in[0], in[len(in)-1] = yes, yes
		return device.Half{In: in, Out: []bool{yes}}
	case ops.Gated, ops.GatedGrad, ops.Activate, ops.ActivateGrad:
		return device.Half{In: all(op.Inputs()), Out: all(op.Outputs())}
	case ops.Add: // a residual stream and what is added to it
		return device.Half{In: []bool{no, yes}}
	case ops.ForkGrad:
		return device.Half{In: all(op.Inputs())}
	case ops.Reshape:
		return device.Half{Out: []bool{yes}}
	case ops.MLSTM:
		return device.Half{In: []bool{yes, yes, yes}, Out: []bool{yes}}
	case ops.MLSTMGrad:
		in := []bool{yes, yes, yes, no, no}
		if op.State {
			in = append(in, no, no, no)
		}
		if in = append(in, yes); op.Tape > 0 {
			in = append(in, no)
		}
		return device.Half{In: append(in, op.Has[0]), Out: []bool{yes, yes, yes}}
	case ops.AdamStep:
		return device.Half{Out: append(make([]bool, 3*len(op.Sizes)), all(op.Outputs()[3*len(op.Sizes):])...)}
	}
	return device.Half{}
}

func all(args []ops.Arg) []bool {
	marks := make([]bool, len(args))
	for k := range marks {
		marks[k] = true
	}
	return marks
}

// AsHalf returns n elements of bfloat16 in the memory of b.
func (d *Device) AsHalf(b device.Buffer, n int) device.Buffer {
	return buffer{b.(buffer).at, ops.BFloat16, n}
}

// ref is an operand in the card's memory: of the operation's float type, or of
// bfloat16. It is the struct In or Out of a kernel.
type ref struct {
	at   address
	half bool
	_    [7]byte // the struct's size is that of the kernels' on every machine
}

// plain is a ref to floats that are not in bfloat16.
func plain(at address) ref { return ref{at: at} }

func (r ref) arg() structure { return byValue(r) }

// readRef and writeRef return the next input and output.
func (b *binder) readRef() ref  { return refTo(b.next(&b.in)) }
func (b *binder) writeRef() ref { return refTo(b.next(&b.out)) }

func refTo(b buffer) ref { return ref{at: b.at, half: b.dt == ops.BFloat16} }

// readRefIf is the zero ref for an operand that is not there.
func (b *binder) readRefIf(has bool) ref {
	if has {
		return b.readRef()
	}
	return ref{}
}

// writeRefIf is readRefIf for an output.
func (b *binder) writeRefIf(has bool) ref {
	if has {
		return b.writeRef()
	}
	return ref{}
}

// readSomeRefs returns those inputs that are there, zero refs for the others.
func (b *binder) readSomeRefs(has []bool) []ref {
	refs := make([]ref, len(has))
	for k := range has {
		refs[k] = b.readRefIf(has[k])
	}
	return refs
}

// countingOperands stands for operands while the workspace is counted.
func countingOperands(args []ops.Arg, dt ops.Dtype, half []bool) []buffer {
	bs := make([]buffer, len(args))
	for k, arg := range args {
		bs[k] = buffer{dt: dt, n: arg.Shape.Size()}
		if k < len(half) && half[k] {
			bs[k].dt = ops.BFloat16
		}
	}
	return bs
}

// asHalf returns the address of n elements in bfloat16: those of r, or a
// rounded copy in the workspace.
func (b *binder) asHalf(r ref, n int) address {
	if r.half {
		return r.at
	}
	to := ref{at: b.take(2 * n), half: true}
	b.convert(r, to, n)
	return to.at
}

// asFloat is asHalf for the operation's float type.
func (b *binder) asFloat(r ref, n int) address {
	if !r.half {
		return r.at
	}
	to := plain(b.float(n))
	b.convert(r, to, n)
	return to.at
}

// floatsFor returns a place for n results in the operation's float type, and
// what enqueues their rounding if r is in bfloat16.
func (b *binder) floatsFor(r ref, n int) (at address, done func()) {
	if !r.half {
		return r.at, func() {}
	}
	at = b.float(n)
	return at, func() { b.convert(plain(at), r, n) }
}

// convert enqueues the copying of n elements from one type to another.
func (b *binder) convert(from, to ref, n int) {
	b.each("elementwise", "convert", (n+7)/8, from.arg(), to.arg(), int64(n))
}

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
