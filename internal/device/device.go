// Package device says what a device is that runs operations: memory, and
// operations bound to it.
//
// A program is a list of launches, made once: Bind prepares an operation on fixed
// buffers, and what a step has to do is call one launch after the other. See
// package plan for how the buffers of a program share one allocation.
package device

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// ErrUnsupported is the cause of the error that Bind returns for an operation
// that a device lacks.
var ErrUnsupported = errors.New("the device lacks this operation")

// Device is a processor with memory of its own. Its methods may be called from
// one goroutine at a time.
type Device interface {
	Name() string
	// Alloc returns memory for n elements, of undefined content.
	Alloc(dt ops.Dtype, n int) (Buffer, error)
	// Upload fills dst from src, a []float32, []float64 or []int of dst's type and
	// length; Download is the other way. Download waits for all launches before it.
	Upload(dst Buffer, src any) error
	Download(dst any, src Buffer) error
	// Copy copies src to dst, of the same type and length, and Zero clears dst, both
	// in the order of the launches.
	Copy(dst, src Buffer) error
	Zero(dst Buffer) error
	// Free gives memory back that Alloc returned.
	Free(b Buffer) error
	// Workspace is the number of elements, of the float type of the operands, that
	// an operation needs while it runs, besides its operands.
	Workspace(op ops.Op, dt ops.Dtype) int
	// Alignment is the number of bytes at whose multiples buffers must begin in an
	// allocation.
	Alignment() int
	// Bind prepares op on the buffers of its operands, in the order of op's Inputs
	// and Outputs, and a workspace as large as asked for, nil for none. Its error is
	// ErrUnsupported for an operation that the device lacks. An operation of kind
	// View is not bound.
	Bind(op ops.Op, out, in []Buffer, workspace Buffer) (Launch, error)
	// Sync waits for all launches.
	Sync() error
	Close() error
}

// Recorder is a Device that runs many launches at one command.
type Recorder interface {
	// Record makes one launch of many, which must not be called while it does.
	Record(launches []Launch) (Launch, error)
}

// Record makes one launch of many: of a Recorder at one command, else one after
// the other.
func Record(d Device, launches []Launch) (Launch, error) {
	if r, ok := d.(Recorder); ok {
		return r.Record(launches)
	}
	return func() error {
		for _, l := range launches {
			if err := l(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// Launch runs an operation that was bound. On a device that works by itself it
// returns at once, and the operations run in the order of their launches.
type Launch func() error

// Buffer is memory of a device for elements of one type.
type Buffer interface {
	Dtype() ops.Dtype
	Len() int
	// Slice is the part of n elements that begins with element from, in the same
	// memory.
	Slice(from, n int) Buffer
}

// Check reports buffers that are not what the operation says that it reads and
// writes.
func Check(op ops.Op, out, in []Buffer) error {
	if op.Kind() == ops.View {
		return errors.Errorf("%s does nothing that could be bound", op.Name())
	}
	var float *ops.Dtype
	for _, side := range []struct {
		what string
		args []ops.Arg
		bufs []Buffer
	}{{"input", op.Inputs(), in}, {"output", op.Outputs(), out}} {
		if len(side.args) != len(side.bufs) {
			return errors.Errorf("%s has %d %ss, got %d buffers", op.Name(), len(side.args), side.what, len(side.bufs))
		}
		for k, arg := range side.args {
			dt := side.bufs[k].Dtype()
			if !arg.Int && float == nil {
				float = &dt
			}
			if arg.Int != (dt == ops.Int) || !arg.Int && dt != *float || side.bufs[k].Len() != arg.Shape.Size() {
				return errors.Errorf("%s: %s %s is of shape %v, got a buffer of %d elements of %v", op.Name(), side.what, arg.Name, arg.Shape, side.bufs[k].Len(), dt)
			}
		}
	}
	return nil
}
