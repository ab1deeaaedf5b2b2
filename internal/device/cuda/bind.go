//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"syscall"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// binder prepares one operation: it collects the calls to enqueue and counts the
// workspace. The same code runs twice: without buffers, to count the workspace,
// and with buffers, to bind.
type binder struct {
	d        *Device
	dt       ops.Dtype  // of the floats
	in, out  []buffer   // without addresses while counting
	counting bool       // the workspace is counted and nothing is bound
	plus     [3]addends // of the first results; see ops.Plus
	work     buffer
	used     int    // bytes of the workspace
	spans    []span // of the operands, and of the pieces of the workspace
	tasks    []task
	err      error
}

// read returns the address of the next input, write that of the next output;
// both are of the operation's float type, or integers.
func (b *binder) read() address  { return b.float32Only(b.readRef()) }
func (b *binder) write() address { return b.float32Only(b.writeRef()) }

func (b *binder) float32Only(r ref) address {
	if r.half && b.err == nil {
		b.err = errors.New("the kernels take no operand in bfloat16 where there is one")
	}
	return r.at
}

func (b *binder) next(list *[]buffer) buffer {
	if len(*list) == 0 {
		if b.err == nil {
			b.err = errors.New("the kernels take more operands than there are")
		}
		return buffer{}
	}
	next := (*list)[0]
	*list = (*list)[1:]
	return next
}

// readIf and writeIf return 0 for an absent operand.
func (b *binder) readIf(has bool) address {
	if has {
		return b.read()
	}
	return 0
}

func (b *binder) writeIf(has bool) address {
	if has {
		return b.write()
	}
	return 0
}

// readSome returns the addresses of the inputs, 0 for absent ones.
func (b *binder) readSome(has []bool) []address {
	at := make([]address, len(has))
	for k := range has {
		at[k] = b.readIf(has[k])
	}
	return at
}

func (b *binder) readMany(n int) []address {
	at := make([]address, n)
	for k := range at {
		at[k] = b.read()
	}
	return at
}

func (b *binder) writeMany(n int) []address {
	at := make([]address, n)
	for k := range at {
		at[k] = b.write()
	}
	return at
}

// size is the number of bytes of a float.
func (b *binder) size() int { return b.dt.Size() }

// float and double take n elements of the workspace, of the operation's type or
// of float64.
func (b *binder) float(n int) address  { return b.take(n * b.size()) }
func (b *binder) double(n int) address { return b.take(n * 8) }

func (b *binder) take(n int) address {
	const line = 256
	at := b.work.at + address(b.used)
	n = (n + line - 1) / line * line
	b.used += n
	b.spans = append(b.spans, span{at, at + address(n), true})
	return at
}

// scalar returns x as a kernel's argument of type T.
func (b *binder) scalar(x float64) any {
	if b.dt == ops.Float64 {
		return x
	}
	return float32(x)
}

// kernel enqueues a kernel of a module.
func (b *binder) kernel(module, name string, g grid, args ...any) {
	module += "." + suffix(b.dt)
	if b.counting {
		if b.d.drv != nil {
			b.d.module(module) // so that it is loaded when it is needed
		}
		return
	}
	if b.err != nil {
		return
	}
	f, err := b.d.function(module, name)
	if err != nil {
		b.err = err
		return
	}
	c, err := b.d.newCall(f, g, args...)
	if err != nil {
		b.err = err
		return
	}
	b.enqueue(task{enqueue: c.enqueue, spans: b.spansOf(args)})
}

func suffix(dt ops.Dtype) string {
	if dt == ops.Float64 {
		return "f64"
	}
	return "f32"
}

// each enqueues a kernel with one thread for each of n elements. It does not pass n
// to the kernel.
func (b *binder) each(module, name string, n int, args ...any) {
	b.kernel(module, name, b.d.spread(n), args...)
}

// zero enqueues clearing n floats, zeroRef clearing n elements of an operand.
func (b *binder) zero(at address, n int) { b.zeroBytes(at, n*b.size()) }

func (b *binder) zeroRef(r ref, n int) {
	if r.half {
		b.zeroBytes(r.at, 2*n)
		return
	}
	b.zero(r.at, n)
}

func (b *binder) zeroBytes(at address, bytes int) {
	if b.counting || bytes == 0 {
		return
	}
	d := b.d
	b.enqueue(task{enqueue: func() error { return d.clearMemory(at, bytes) }, spans: b.appendSpans(nil, at)})
}

// copy enqueues copying n floats.
func (b *binder) copy(dst, src address, n int) { b.copyBytes(dst, src, n*b.size()) }

func (b *binder) copyBytes(dst, src address, bytes int) {
	if bytes == 0 || dst == src {
		return
	}
	d := b.d
	b.enqueue(task{enqueue: func() error { return d.copyMemory(dst, src, bytes) }, spans: b.appendSpans(nil, dst, src)})
}

// multiply enqueues a product, with the element types and the computation of the
// device's precision. Operands that the product marks as half are in bfloat16;
// sums never are.
func (b *binder) multiply(p product) {
	if b.counting || p.m == 0 || p.n == 0 {
		return
	}
	p.in, p.out, p.compute = typeF32, typeF32, computeF32
	switch {
	case b.dt == ops.Float64:
		p.in, p.out, p.compute = typeF64, typeF64, computeF64
	case p.half:
		p.in = typeBF16
		if p.halfOut {
			p.out = typeBF16
		}
	case b.d.precision != Float32:
		p.compute = computeTF32
	}
	if p.alpha == 0 {
		p.alpha = 1
	}
	p.batch = max(p.batch, 1)
	spans := b.appendSpans(nil, p.a.at, p.b.at, p.c.at)
	b.enqueue(task{enqueue: b.d.newProduct(p).enqueue, spans: spans, product: true})
}

// spread returns a grid for n elements with a thread for each.
func (d *Device) spread(n int) grid {
	const threads = 256
	return grid{x: max(1, min((n+threads-1)/threads, 16*int(d.processors))), threads: threads}
}

// family binds the operations of one kind; it reports whether op is one of them.
type family func(b *binder, op ops.Op) bool

// bind prepares op with b.
func (b *binder) bind(op ops.Op) error {
	if p, ok := op.(ops.Plus); ok {
		if !addsUp(p) {
			return errors.Wrapf(device.ErrUnsupported, "cuda: %s", op.Name())
		}
		b.takeAddends(p)
		op = p.Op
	}
	for _, f := range []family{bindLinear, bindPacked, bindProjections, bindMLSTMExit, bindElementwise, bindRows, bindTime, bindMLSTM, bindSLSTM, bindLSTM, bindSimplified, bindOptimiser} {
		if f(b, op) {
			return errors.Wrapf(b.err, "cuda: %s", op.Name())
		}
	}
	return errors.Wrapf(device.ErrUnsupported, "cuda: %s", op.Name())
}

// addends mirrors the struct Addends of the kernels.
type addends [2]address

// takeAddends takes the addends from the end of the inputs.
func (b *binder) takeAddends(p ops.Plus) {
	own := len(p.Op.Inputs())
	more := b.in[own:]
	b.in = b.in[:own:own]
	for r, n := range p.N {
		for k := range n {
			b.plus[r][k] = more[0].at
			more = more[1:]
		}
	}
}

// Workspace returns how many floats of type dt the operation needs besides its
// operands.
func (d *Device) Workspace(op ops.Op, dt ops.Dtype, half device.Half) int {
	b := &binder{d: d, dt: dt, counting: true, in: countingOperands(op.Inputs(), dt, half.In), out: countingOperands(op.Outputs(), dt, half.Out)}
	b.arranged(op, half)
	if b.bind(op) != nil {
		return 0 // Bind reports it
	}
	return (b.used + dt.Size() - 1) / dt.Size()
}

// Bind prepares op. The error is device.ErrUnsupported for the operations of
// symbolic cells.
func (d *Device) Bind(op ops.Op, out, in []device.Buffer, workspace device.Buffer) (device.Launch, error) {
	dt, err := device.Check(op, d.Half(op), out, in)
	if err != nil {
		return nil, errors.Wrap(err, "cuda")
	}
	b := &binder{d: d, dt: dt}
	if b.in, err = buffersOf(in...); err != nil {
		return nil, err
	}
	if b.out, err = buffersOf(out...); err != nil {
		return nil, err
	}
	for _, in := range b.in {
		b.spans = append(b.spans, in.spans(false)...)
	}
	for _, out := range b.out {
		b.spans = append(b.spans, out.spans(true)...)
	}
	if workspace != nil {
		work, err := buffersOf(workspace)
		if err != nil {
			return nil, err
		}
		b.work = work[0]
	}
	if err := d.thread.do(func() error { return b.bind(op) }); err != nil {
		return nil, err
	}
	if len(b.in)+len(b.out) > 0 {
		return nil, errors.Errorf("cuda: the kernels of %s leave out %d operands", op.Name(), len(b.in)+len(b.out))
	}
	if need, have := b.used, b.work.n*b.work.dt.Size(); need > have {
		return nil, errors.Errorf("cuda: %s needs a workspace of %d bytes and got %d", op.Name(), need, have)
	}
	return d.launch(b.tasks), nil
}

// launch returns what enqueues the tasks.
func (d *Device) launch(tasks []task) device.Launch {
	return func() error { return d.enqueued(func() error { return d.run(tasks) }) }
}

// enqueued calls f on the device's thread, of which Record has hold already if it calls
// this: the goroutine of Record keeps its thread of the operating system, so that no other
// goroutine can be on it.
func (d *Device) enqueued(f func() error) error {
	if on := d.recording.Load(); on != 0 && on == int64(syscall.Gettid()) {
		return f()
	}
	return d.thread.do(f)
}

// Record combines launches into one, a CUDA graph, which the card runs on a single
// command.
func (d *Device) Record(launches []device.Launch) (device.Launch, error) {
	var g *graph
	err := d.recordingWhile(func() (err error) {
		g, err = d.capture(func() error {
			for _, l := range launches {
				if err := l(); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, errors.Wrap(err, "cuda: recording a step")
	}
	return d.launch([]task{{enqueue: g.enqueue, spans: []span{everything}}}), nil
}

// recordingWhile calls f on the device's thread, where what f enqueues is recorded. What
// other goroutines enqueue waits until f has returned.
func (d *Device) recordingWhile(f func() error) error {
	return d.thread.do(func() error {
		d.recorder = newRecorder(d)
		d.recording.Store(int64(syscall.Gettid()))
		defer func() {
			d.recording.Store(0)
			d.recorder = nil
		}()
		return f()
	})
}
