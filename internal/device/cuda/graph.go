//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"runtime"
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/dynlib"
	"github.com/pkg/errors"
)

// graph is a CUDA graph: a sequence of launches that the card runs on one command.
type graph struct {
	d    *Device
	exec uintptr
}

// Modes of capture and instantiation.
const captureThreadLocal = 1

// capture records what f enqueues on the device's stream, without running it.
func (d *Device) capture(f func() error) (*graph, error) {
	if err := d.drv.check("cuStreamBeginCapture", dynlib.Call(d.drv.StreamBeginCapture, d.stream, captureThreadLocal)); err != nil {
		return nil, err
	}
	failed := f()
	var recorded uintptr
	ended := d.drv.check("cuStreamEndCapture", dynlib.Call(d.drv.StreamEndCapture, d.stream, uintptr(unsafe.Pointer(&recorded))))
	if failed != nil {
		return nil, failed
	}
	if ended != nil {
		return nil, ended
	}
	defer dynlib.Call(d.drv.GraphDestroy, recorded)
	g := &graph{d: d}
	r := dynlib.Call(d.drv.GraphInstantiate, uintptr(unsafe.Pointer(&g.exec)), recorded, 0)
	if err := d.drv.check("cuGraphInstantiate", r); err != nil {
		return nil, err
	}
	return g, d.drv.check("cuGraphUpload", dynlib.Call(d.drv.GraphUpload, g.exec, d.stream))
}

// enqueue lets the card run the graph.
func (g *graph) enqueue() error {
	return errors.Wrap(g.d.drv.check("cuGraphLaunch", dynlib.Call(g.d.drv.GraphLaunch, g.exec, g.d.stream)), "cuda: running a step")
}

// release lets the driver destroy the graph when g becomes unreachable, since a
// Launch is not closed. The driver lets a running graph finish first.
func (g *graph) release() {
	d := g.d
	runtime.AddCleanup(g, func(exec uintptr) {
		d.thread.do(func() error {
			return d.drv.check("cuGraphExecDestroy", dynlib.Call(d.drv.GraphExecDestroy, exec))
		})
	}, g.exec)
}
