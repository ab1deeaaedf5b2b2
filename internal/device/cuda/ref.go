//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// ref is an operand in the card's memory: of the operation's float type, or of
// bfloat16. It is the struct In or Out of a kernel.
type ref struct {
	at   address
	half bool
	_    [7]byte // the struct's size is that of the kernels' on every machine
}

// plain is a ref to floats that are not in bfloat16.
func plain(at address) ref { return ref{at: at} }

// allHalf reports whether those operands that are not zero are in bfloat16.
func allHalf(refs ...ref) bool {
	return !slices.ContainsFunc(refs, func(r ref) bool { return r.at != 0 && !r.half })
}

func (r ref) arg() structure { return byValue(r) }

// readRef and writeRef return the next input and output.
func (b *binder) readRef() ref  { return b.dense(b.next(&b.in)) }
func (b *binder) writeRef() ref { return b.dense(b.next(&b.out)) }

var errColumns = errors.New("the kernels take no columns of a matrix where there are some")

func (b *binder) dense(x buffer) ref {
	switch {
	case b.err != nil:
	case x.ld > 0:
		b.err = errColumns
	case x.rests != 0:
		b.err = errSplit
	}
	return refTo(x)
}

var errSplit = errors.New("the kernels take no split numbers where there are some")

// readSplit returns the next input, which may be split: then r is the twin, and rests are
// the rests.
func (b *binder) readSplit() (r ref, rests address) { return b.split(b.next(&b.in)) }

// writeSplit is readSplit for an output.
func (b *binder) writeSplit() (r ref, rests address) { return b.split(b.next(&b.out)) }

func (b *binder) split(x buffer) (r ref, rests address) {
	if rests = x.rests; rests != 0 {
		x = buffer{at: x.at, dt: ops.BFloat16, n: x.n}
	}
	return b.dense(x), rests
}

func refTo(b buffer) ref { return ref{at: b.at, half: b.dt == ops.BFloat16} }

// writeColumns returns the next output, which may be columns of a matrix, and the length
// of its rows: width, unless they are those of a matrix.
func (b *binder) writeColumns(width int) (r ref, ld int) {
	y := b.next(&b.out)
	if y.ld > 0 {
		width = y.ld
	}
	return refTo(y), width
}

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
