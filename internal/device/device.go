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
	// Workspace returns the number of elements, of the float type dt of the
	// operands, that an operation needs while it runs in addition to its
	// operands, some of which are stored in bfloat16.
	Workspace(op ops.Op, dt ops.Dtype, half Half) int
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

// Half marks operands of an operation on float32 that are stored in bfloat16,
// in the order of its Inputs and Outputs. A list may be nil if it marks none.
type Half struct {
	In, Out []bool
	// Joined reports whether the inputs that a Joiner has the operation join lie as it
	// says, and Consecutive whether the results do that it has it write as one.
	Joined, Consecutive bool
}

// Halver is a Device that stores some operands in bfloat16. The operations
// themselves do not know it: their float type remains float32, in which they
// also add up.
type Halver interface {
	// Half returns which operands of an operation on float32 may be stored in
	// bfloat16, each independently of the others.
	Half(op ops.Op) Half
	// AsHalf returns n elements of bfloat16 in the memory of b, of float32.
	AsHalf(b Buffer, n int) Buffer
}

// Splitter is a Halver with operations on numbers of float32 that are split: into the
// twin of ops.Twin, in bfloat16, and the rest, of as many bits. A number that has a twin
// anyway so takes no more memory than without.
type Splitter interface {
	// Splits returns which input an operation may read split, −1 for none, and whether
	// it may write its first result so beside the twin.
	Splits(op ops.Op) (in int, out bool)
	// AsSplit returns the numbers whose twins are in twin, in bfloat16, with their rests
	// in the memory of b, of float32.
	AsSplit(b, twin Buffer) Buffer
}

// Fuser is a Device that has composites, or would rather compute some results
// twice than keep them.
type Fuser interface {
	// Fuses reports whether the device has a composite.
	Fuses(op ops.Composite) bool
	// Recomputes reports whether the backward pass should repeat an operation
	// of the forward pass in order that its result need not be kept.
	Recomputes(op ops.Op) bool
}

// Overwriter is a Device with operations that may write results to the memory of
// inputs, besides those of ops.Over.
type Overwriter interface {
	// Over returns pairs of a result and an input whose memory it may have if the
	// input is not read afterwards. Both begin at the same place, and the memory has
	// the size of the larger.
	Over(op ops.Op) [][2]int
}

// Joint is several operands in bfloat16, each of as many rows, that lie beside one another
// as columns of one matrix.
type Joint struct {
	In       []int // the numbers of the inputs
	Columns  []int // the first column of each
	Rows, LD int   // of the matrix; LD is the length of a row, some of which may be no operand's
}

// Joiner is a Device with operations that read several inputs as one matrix, and
// operations that can write results as columns of one.
type Joiner interface {
	// Joins returns which inputs an operation reads as one matrix, without a copy if they
	// lie so, or false if there are none. It may write to the rest of the matrix.
	Joins(op ops.Op, half Half) (Joint, bool)
	// Rows returns which inputs of an operation, weights, are read as the rows of one matrix,
	// in their order, and without a copy if each begins where the one before it ends; nil if
	// there are none.
	Rows(op ops.Op) []int
	// Writes returns which results of an operation are written as one, in their order, and
	// without a copy if each begins where the one before it ends; nil if there are none.
	Writes(op ops.Op) []int
	// WritesColumns reports whether an operation can write result k as columns of a matrix.
	WritesColumns(op ops.Op, half Half, k int) bool
	// AsColumns returns input k of a joint, of n elements in all, in the memory of the
	// matrix b, of float32.
	AsColumns(b Buffer, j Joint, k, n int) Buffer
}

// Keeper is a Device whose operations keep results of the forward pass for their
// derivatives.
type Keeper interface {
	// Tape returns the number of floats of type dt that an mLSTM cell keeps, 0
	// for none.
	Tape(op ops.MLSTM, dt ops.Dtype) int
}

// Concurrent is a Device that runs operations at the same time where none needs the
// memory of another.
type Concurrent interface {
	// Apart returns for how many operations more memory of a number of bytes should
	// not be used again, so that they need not wait for the last one that needs it.
	Apart(bytes int) int
}

// Bound is an operation of a Sequence: its operands by numbers, and their memory.
// Results that only the sequence itself reads have no buffer.
type Bound struct {
	Op                    ops.Op
	Dtype                 ops.Dtype
	In, Out               []int
	InBuffers, OutBuffers []Buffer
}

// Sequencer is a Device that can run operations which follow one another as a
// single launch, where each of them is short.
type Sequencer interface {
	// Sequence returns such a launch and what releases its memory, or no launch
	// if it has none for these operations.
	Sequence(steps []Bound) (Launch, func() error, error)
}

// Sized is a Device that knows its memory, in bytes.
type Sized interface {
	Memory() (free, total int64, err error)
}

// HalfOf returns which operands of an operation a device may store in bfloat16.
func HalfOf(d Device, op ops.Op, dt ops.Dtype) Half {
	if h, ok := d.(Halver); ok && dt == ops.Float32 {
		return h.Half(op)
	}
	return Half{}
}

// marked reports whether a list of Half marks operand k.
func marked(list []bool, k int) bool { return k < len(list) && list[k] }

// Reads and Writes report whether input or output k is marked.
func (h Half) Reads(k int) bool  { return marked(h.In, k) }
func (h Half) Writes(k int) bool { return marked(h.Out, k) }

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

// Check returns the float type of an operation's operands, or an error if the
// buffers do not match them. Operands that half marks may be in bfloat16, which
// counts as Float32.
func Check(op ops.Op, half Half, out, in []Buffer) (ops.Dtype, error) {
	if op.Kind() == ops.View {
		return 0, errors.Errorf("%s does nothing that could be bound", op.Name())
	}
	var float *ops.Dtype
	for _, side := range []struct {
		what string
		args []ops.Arg
		bufs []Buffer
		half []bool
	}{{"input", op.Inputs(), in, half.In}, {"output", op.Outputs(), out, half.Out}} {
		if len(side.args) != len(side.bufs) {
			return 0, errors.Errorf("%s has %d %ss, got %d buffers", op.Name(), len(side.args), side.what, len(side.bufs))
		}
		for k, arg := range side.args {
			dt := side.bufs[k].Dtype()
			if dt == ops.BFloat16 && marked(side.half, k) {
				dt = ops.Float32
			}
			if float == nil && !arg.Int && !arg.Bytes && (dt == ops.Float32 || dt == ops.Float64) {
				float = &dt
			}
			ok := float != nil && dt == arg.Dtype(*float) || dt == arg.Dtype(ops.Float32) && (arg.Int || arg.Bytes)
			if !ok || side.bufs[k].Len() != arg.Shape.Size() {
				return 0, errors.Errorf("%s: %s %s is of shape %v, got a buffer of %d elements of %v", op.Name(), side.what, arg.Name, arg.Shape, side.bufs[k].Len(), side.bufs[k].Dtype())
			}
		}
	}
	if float == nil {
		return ops.Float32, nil
	}
	return *float, nil
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
