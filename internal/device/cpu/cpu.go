// Package cpu is the device for the CPU: the kernels of package kernels, bound
// to slices of this process. A launch returns when the operation has finished.
package cpu

import (
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/kernels"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// Device is the CPU. It has no state.
type Device struct{}

// Name returns "cpu".
func (Device) Name() string { return "cpu" }

// Alloc returns n zeros.
func (Device) Alloc(dt ops.Dtype, n int) (device.Buffer, error) {
	switch dt {
	case ops.Float32:
		return of(make([]float32, n)), nil
	case ops.Float64:
		return of(make([]float64, n)), nil
	case ops.Byte:
		return of(make([]byte, n)), nil
	}
	return of(make([]int, n)), nil
}

// Upload copies src to dst.
func (Device) Upload(dst device.Buffer, src any) error {
	from, err := Of(src)
	if err != nil {
		return err
	}
	return transfer(dst, from)
}

// Download copies src to dst.
func (Device) Download(dst any, src device.Buffer) error {
	to, err := Of(dst)
	if err != nil {
		return err
	}
	return transfer(to, src)
}

// Copy copies src to dst.
func (Device) Copy(dst, src device.Buffer) error { return transfer(dst, src) }

// Zero clears dst.
func (Device) Zero(dst device.Buffer) error {
	switch x := Elements(dst).(type) {
	case []float32:
		clear(x)
	case []float64:
		clear(x)
	case []int:
		clear(x)
	case []byte:
		clear(x)
	}
	return nil
}

// Free does nothing: unreferenced memory is garbage-collected.
func (Device) Free(device.Buffer) error { return nil }

func transfer(dst, src device.Buffer) error {
	if dst.Dtype() != src.Dtype() || dst.Len() != src.Len() {
		return errors.Errorf("cpu: %d elements of %v for %d of %v", src.Len(), src.Dtype(), dst.Len(), dst.Dtype())
	}
	switch to := Elements(dst).(type) {
	case []float32:
		copy(to, Elements(src).([]float32))
	case []float64:
		copy(to, Elements(src).([]float64))
	case []int:
		copy(to, Elements(src).([]int))
	case []byte:
		copy(to, Elements(src).([]byte))
	}
	return nil
}

// Workspace returns 0: kernels allocate their own scratch space, which depends
// on the number of cores in use.
func (Device) Workspace(ops.Op, ops.Dtype, device.Half) int { return 0 }

// Alignment returns 64, the size of a cache line: kernels accept any slice, but
// vectors that cross cache lines are slower.
func (Device) Alignment() int { return 64 }

// Bind prepares op. The launch uses the memory that the buffers have when it is
// called; see Rebind.
func (Device) Bind(op ops.Op, out, in []device.Buffer, _ device.Buffer) (device.Launch, error) {
	dt, err := device.Check(op, device.Half{}, out, in)
	if err != nil {
		return nil, errors.Wrap(err, "cpu")
	}
	if c, ok := op.(ops.Composite); ok {
		return bindComposite(c, dt, out, in)
	}
	var launch device.Launch
	if dt == ops.Float32 {
		launch = bind[float32](op, &operands{in: in, out: out})
	} else {
		launch = bind[float64](op, &operands{in: in, out: out})
	}
	if launch == nil {
		return nil, errors.Wrapf(device.ErrUnsupported, "cpu: %s", op.Name())
	}
	return launch, nil
}

// bind returns nil for an operation that is not there.
func bind[F kernels.Float](op ops.Op, a *operands) device.Launch {
	for _, family := range []func(ops.Op, *operands) device.Launch{
		bindProduct[F], bindPacked[F], bindElementwise[F], bindGate[F], bindCell[F], bindMove[F], bindOptimiser[F],
	} {
		if launch := family(op, a); launch != nil {
			return launch
		}
	}
	return nil
}

// Sync returns at once.
func (Device) Sync() error { return nil }

// Close returns nil.
func (Device) Close() error { return nil }
