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
	if err := d.hurry(d.recorder.urgent); err != nil {
		return nil, err
	}
	g := &graph{d: d}
	r := dynlib.Call(d.drv.GraphInstantiate, uintptr(unsafe.Pointer(&g.exec)), recorded, useNodePriority)
	if err := d.drv.check("cuGraphInstantiate", r); err != nil {
		return nil, err
	}
	g.release()
	return g, d.drv.check("cuGraphUpload", dynlib.Call(d.drv.GraphUpload, g.exec, d.stream))
}

// Constants of the driver: a flag of cuGraphInstantiate, the type of a node, and the
// attribute of a launch.
const (
	useNodePriority = 8
	kernelNode      = 0
	priority        = 8
)

// hurry gives the kernels among nodes the highest priority.
func (d *Device) hurry(nodes []uintptr) error {
	n := make([]int32, 2) // the lowest and the highest
	r := dynlib.Call(d.drv.CtxGetStreamPriorityRange, uintptr(unsafe.Pointer(&n[0])), uintptr(unsafe.Pointer(&n[1])))
	if err := d.drv.check("cuCtxGetStreamPriorityRange", r); err != nil {
		return err
	}
	value := make([]int32, 16) // CUlaunchAttributeValue
	value[0] = n[1]
	for _, node := range nodes {
		kind := make([]int32, 1)
		if err := d.drv.check("cuGraphNodeGetType", dynlib.Call(d.drv.GraphNodeGetType, node, uintptr(unsafe.Pointer(&kind[0])))); err != nil {
			return err
		}
		if kind[0] != kernelNode {
			continue
		}
		r := dynlib.Call(d.drv.GraphKernelNodeSetAttribute, node, priority, uintptr(unsafe.Pointer(&value[0])))
		if err := d.drv.check("cuGraphKernelNodeSetAttribute", r); err != nil {
			return err
		}
	}
	return nil
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
