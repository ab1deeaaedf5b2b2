//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"bytes"
	"sync/atomic"
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/dynlib"
	"github.com/pkg/errors"
)

// Device is a card with its context, its stream, and cuBLAS.
type Device struct {
	drv    *driver
	blas   *cublas
	thread *thread

	name                  string
	ordinal, major, minor int32
	processors, sharedMax int32
	context               uintptr
	stream, handle        uintptr // handle is cuBLAS's
	blasMemory            address // its workspaces
	staging               staging
	modules               modules
	precision             Precision
	job                   job
	recorder              *recorder    // of the graph that is being recorded; nil for none
	recording             atomic.Int64 // the operating system's thread that records it; 0 for none
}

// Precision is the arithmetic of matrix products. Sums, states, norms, gates and
// trained weights are float32 in every precision.
type Precision int

const (
	Float32 Precision = iota // IEEE single precision
	TF32                     // operands are rounded to 10 bits of mantissa
	BF16                     // operands are stored in bfloat16, others as in TF32
)

// ForPlans returns a device that plans can be laid out for, and nothing else: an
// H100, without the card.
func ForPlans(precision Precision) *Device {
	return &Device{name: "an H100", precision: precision, major: 9, processors: 132, sharedMax: 227 << 10}
}

// minMajor is the major compute capability that the embedded PTX needs: Ampere.
const minMajor = 8

// Open opens card number ordinal. The error says what is missing: the driver, a card
// or cuBLAS.
func Open(ordinal int, precision Precision) (*Device, error) {
	d := &Device{thread: &thread{}, modules: modules{all: make(map[string]*module)}, precision: precision}
	d.modules.read = func(name string) ([]byte, error) { return readKernels(name, d.major, d.minor) }
	if err := d.thread.do(func() error { return d.open(ordinal) }); err != nil {
		d.thread.do(d.close)
		d.thread.close()
		return nil, errors.Wrapf(err, "cuda: opening card %d", ordinal)
	}
	return d, nil
}

func (d *Device) open(ordinal int) (err error) {
	if d.drv, err = openDriver(); err != nil {
		return err
	}
	if err := d.identify(ordinal); err != nil {
		return err
	}
	drv := d.drv
	if err := drv.check("cuDevicePrimaryCtxRetain", dynlib.Call(drv.PrimaryCtxRetain, uintptr(unsafe.Pointer(&d.context)), uintptr(d.ordinal))); err != nil {
		return err
	}
	d.thread.enter = d.enter
	if err := d.enter(); err != nil {
		return err
	}
	if d.staging, err = d.newStaging(); err != nil {
		return err
	}
	if d.blas, err = openCublas(); err != nil {
		return err
	}
	const nonBlocking = 1
	if err := drv.check("cuStreamCreate", dynlib.Call(drv.StreamCreate, uintptr(unsafe.Pointer(&d.stream)), nonBlocking)); err != nil {
		return err
	}
	if d.blasMemory, err = d.allocate(workspaces * blasWorkspace); err != nil {
		return err
	}
	d.handle, err = d.blas.newHandle(d.stream, d.blasMemory)
	return err
}

// enter makes the context current on this thread.
func (d *Device) enter() error {
	return d.drv.check("cuCtxSetCurrent", dynlib.Call(d.drv.CtxSetCurrent, d.context))
}

// Attributes of cuDeviceGetAttribute.
const (
	attrProcessors = 16
	attrMajor      = 75
	attrMinor      = 76
	attrSharedMax  = 97 // of a block that asks for it
)

// identify finds the card and reads its properties.
func (d *Device) identify(ordinal int) error {
	var count int32
	if err := d.drv.check("cuDeviceGetCount", dynlib.Call(d.drv.DeviceGetCount, uintptr(unsafe.Pointer(&count)))); err != nil {
		return err
	}
	if ordinal < 0 || ordinal >= int(count) {
		return errors.Errorf("this machine has %d cards, numbered from 0", count)
	}
	if err := d.drv.check("cuDeviceGet", dynlib.Call(d.drv.DeviceGet, uintptr(unsafe.Pointer(&d.ordinal)), uintptr(ordinal))); err != nil {
		return err
	}
	name := make([]byte, 128)
	if err := d.drv.check("cuDeviceGetName", dynlib.Call(d.drv.DeviceGetName, uintptr(unsafe.Pointer(&name[0])), uintptr(len(name)), uintptr(d.ordinal))); err != nil {
		return err
	}
	d.name = string(name[:max(0, bytes.IndexByte(name, 0))])
	for attribute, value := range map[uintptr]*int32{
		attrProcessors: &d.processors, attrMajor: &d.major, attrMinor: &d.minor, attrSharedMax: &d.sharedMax,
	} {
		r := dynlib.Call(d.drv.DeviceGetAttribute, uintptr(unsafe.Pointer(value)), attribute, uintptr(d.ordinal))
		if err := d.drv.check("cuDeviceGetAttribute", r); err != nil {
			return err
		}
	}
	if d.major < minMajor {
		return errors.Errorf("%s has compute capability %d.%d; 8.0 or later is needed", d.name, d.major, d.minor)
	}
	return nil
}

// Name returns the card's name.
func (d *Device) Name() string { return d.name }

// synchronize waits for all that was enqueued, so that the staging memory is free.
func (d *Device) synchronize() error {
	d.staging.used = 0
	return d.drv.check("cuStreamSynchronize", dynlib.Call(d.drv.StreamSynchronize, d.stream))
}

// Sync waits until all that was enqueued has finished and returns its first error.
func (d *Device) Sync() error { return d.thread.do(d.synchronize) }

// Close releases the card's memory. The device and its buffers must not be used
// afterwards.
func (d *Device) Close() error {
	if d.job.late { // NCCL would hold up what follows; the end of the process releases it
		return nil
	}
	d.awaitModules()
	err := d.thread.do(d.close)
	d.thread.close()
	return errors.Wrap(err, "cuda: closing "+d.name)
}

// close undoes open as far as it got. The context's memory and modules end with it.
func (d *Device) close() error {
	var err error
	if d.handle != 0 {
		err = d.blas.destroy(d.handle)
	}
	if d.stream != 0 {
		dynlib.Call(d.drv.StreamDestroy, d.stream)
	}
	if d.staging.p != nil {
		dynlib.Call(d.drv.MemFreeHost, uintptr(d.staging.p))
	}
	if d.context != 0 {
		dynlib.Call(d.drv.PrimaryCtxRelease, uintptr(d.ordinal))
	}
	return err
}

// String is the name of a precision as the flag -precision takes it.
func (p Precision) String() string { return [...]string{"float32", "tf32", "bf16"}[p] }
