// Package device defines the interface of devices that run operations: memory,
// and operations bound to it.
//
// A program is a list of launches that is created once: Bind prepares an
// operation for fixed buffers, and a step only calls one launch after the
// other. See package plan for how the buffers of a program share one
// allocation.
package device

import (
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// ErrUnsupported is the cause of the error that Bind returns for an operation
// that a device does not support.
var ErrUnsupported = errors.New("the device lacks this operation")

// Device is a processor with separate memory. Its methods must not be called
// concurrently.
type Device interface {
	Name() string
	// Alloc returns memory for n elements, of undefined content.
	Alloc(dt ops.Dtype, n int) (Buffer, error)
	// Upload fills dst from src, a []float32, []float64, []int or []byte of dst's type
	// and length; Download copies in the other direction, after all earlier
	// launches have finished.
	Upload(dst Buffer, src any) error
	Download(dst any, src Buffer) error
	// Copy copies src to dst, of the same type and length, and Zero clears dst,
	// both in the order of the launches.
	Copy(dst, src Buffer) error
	Zero(dst Buffer) error
	// Free releases memory that Alloc returned.
	Free(b Buffer) error
	// Workspace returns the number of elements, of the float type of the
	// operands, that an operation needs while it runs in addition to its
	// operands.
	Workspace(op ops.Op, dt ops.Dtype) int
	// Alignment returns the required alignment of buffers in an allocation, in
	// bytes.
	Alignment() int
	// Bind prepares op for the buffers of its operands, in the order of op's
	// Inputs and Outputs, and for a workspace of the required size, nil for
	// none. It returns an error with the cause ErrUnsupported for an operation
	// that the device does not support. Operations of kind View are not bound.
	Bind(op ops.Op, out, in []Buffer, workspace Buffer) (Launch, error)
	// Sync waits for all launches.
	Sync() error
	Close() error
}

// Sized is a Device that knows its memory, in bytes.
type Sized interface {
	Memory() (free, total int64, err error)
}

// Recorder is a Device that can run many launches with a single command.
type Recorder interface {
	// Record combines many launches into one. The launches must not be called
	// during Record.
	Record(launches []Launch) (Launch, error)
}

// Collective is a Device that can add up memory over the devices of several
// processes, the ranks of a job.
type Collective interface {
	Device
	// NewJob returns what ranks need to find one another. Rank 0 calls it and
	// gives the result to the others.
	NewJob() ([]byte, error)
	// Join connects this device to those of the other ranks, which call it at the
	// same time.
	Join(job []byte, rank, size int) error
	// SumAll prepares the sum of buffers, of one type, over all ranks: each is
	// replaced by the sum of weight, one number, times the buffer of each rank. All
	// ranks must prepare and launch the same sums in the same order. The launch
	// can be recorded.
	SumAll(xs []Buffer, weight Buffer) (Launch, error)
	// SumTo is SumAll for parts that a single rank needs: of a part on other ranks
	// the content is undefined afterwards.
	SumTo(parts []Part, weight Buffer) (Launch, error)
	// Gather prepares the copying of each part from its rank to all others.
	Gather(parts []Part) (Launch, error)
}

// Part is memory that one rank is responsible for.
type Part struct {
	Buffer
	Rank int
}

// Record combines many launches into one, which runs them with a single command
// on a Recorder, and otherwise one after the other.
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

// Launch runs a bound operation. On an asynchronous device it returns at once,
// and the operations run in the order of their launches.
type Launch func() error

// Buffer is memory on a device for elements of one type.
type Buffer interface {
	Dtype() ops.Dtype
	Len() int
	// Slice returns the n elements that start at element from, in the same
	// memory.
	Slice(from, n int) Buffer
}

// Check returns an error if the buffers do not match the operands of the
// operation.
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
			if float == nil && !arg.Int && !arg.Bytes && (dt == ops.Float32 || dt == ops.Float64) {
				float = &dt
			}
			ok := float != nil && dt == arg.Dtype(*float) || dt == arg.Dtype(ops.Float32) && (arg.Int || arg.Bytes)
			if !ok || side.bufs[k].Len() != arg.Shape.Size() {
				return errors.Errorf("%s: %s %s is of shape %v, got a buffer of %d elements of %v", op.Name(), side.what, arg.Name, arg.Shape, side.bufs[k].Len(), dt)
			}
		}
	}
	return nil
}

// MemoryError reports that a card has less free memory than was asked for. Its
// numbers are bytes.
type MemoryError struct {
	Device            string
	Need, Free, Total int64
}

func (e *MemoryError) Error() string {
	const gib = 1 << 30
	return errors.Errorf("%s has %.1f GiB of its %.1f GiB free, and %.1f GiB more are needed",
		e.Device, float64(e.Free)/gib, float64(e.Total)/gib, float64(e.Need)/gib).Error()
}
