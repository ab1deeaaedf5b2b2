//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"unsafe"

	"github.com/pkg/errors"
)

// lane is a stream and cuBLAS's handle for it. The kernels of a lane run in order;
// those of different lanes may run at the same time.
type lane struct {
	stream, blas uintptr
	memory       address // of cuBLAS
	reached      uintptr // an event: a place in the lane's order
}

// maxBranches is the number of branches of a fork that run at the same time.
const maxBranches = 3

func (d *Device) newLane() (l lane, err error) {
	const nonBlocking, disableTiming = 1, 2
	if err := d.drv.check("cuStreamCreate", call(d.drv.StreamCreate, uintptr(unsafe.Pointer(&l.stream)), nonBlocking)); err != nil {
		return l, err
	}
	if err := d.drv.check("cuEventCreate", call(d.drv.EventCreate, uintptr(unsafe.Pointer(&l.reached)), disableTiming)); err != nil {
		return l, err
	}
	if l.memory, err = d.allocate(blasWorkspace); err != nil {
		return l, err
	}
	l.blas, err = d.blas.newHandle(l.stream, l.memory)
	return l, err
}

// mark records the position that l has reached; waitFor makes l wait for the recorded
// position of another lane.
func (d *Device) mark(l lane) error {
	return d.drv.check("cuEventRecord", call(d.drv.EventRecord, l.reached, l.stream))
}

func (d *Device) waitFor(l, other lane) error {
	return d.drv.check("cuStreamWaitEvent", call(d.drv.StreamWaitEvent, l.stream, other.reached, 0))
}

// fork enqueues branches of independent calls, each on its own lane; what is enqueued
// next waits for all of them.
func (d *Device) fork(branches [][]func() error) error {
	main := d.lanes[0]
	if err := d.mark(main); err != nil {
		return err
	}
	for k, calls := range branches[1:] {
		if err := d.branch(d.lanes[k+1], main, calls); err != nil {
			return err
		}
	}
	if err := run(branches[0]); err != nil {
		return err
	}
	for _, l := range d.lanes[1:len(branches)] {
		if err := d.waitFor(main, l); err != nil {
			return err
		}
	}
	return nil
}

// branch enqueues calls on lane l after the position that main has recorded, and
// records where they end.
func (d *Device) branch(l, main lane, calls []func() error) error {
	if err := d.waitFor(l, main); err != nil {
		return err
	}
	d.lane = l
	defer func() { d.lane = main }()
	if err := run(calls); err != nil {
		return err
	}
	return d.mark(l)
}

func run(calls []func() error) error {
	for _, c := range calls {
		if err := c(); err != nil {
			return err
		}
	}
	return nil
}

// atOnce lets what the functions enqueue run at the same time; beyond maxBranches the
// last ones run one after another. None may need what another one writes.
func (b *binder) atOnce(functions ...func()) {
	before := b.calls
	var branches [][]func() error
	for _, f := range functions {
		b.calls = nil
		if f(); len(b.calls) == 0 {
			continue
		}
		if last := len(branches) - 1; len(branches) == maxBranches {
			branches[last] = append(branches[last], b.calls...)
		} else {
			branches = append(branches, b.calls)
		}
	}
	b.calls = before
	switch d := b.d; len(branches) {
	case 0:
	case 1:
		b.calls = append(b.calls, branches[0]...)
	default:
		b.calls = append(b.calls, func() error { return errors.Wrap(d.fork(branches), "cuda: running branches at once") })
	}
}
