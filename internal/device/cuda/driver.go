//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"fmt"
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/dynlib"
	"github.com/pkg/errors"
)

// minDriver is the CUDA version that a driver must support, that of the embedded
// PTX's instruction set.
const minDriver = 12040

// driver holds the functions of libcuda that this package calls.
type driver struct {
	lib dynlib.Library

	Init               uintptr `sym:"cuInit"`
	DriverGetVersion   uintptr `sym:"cuDriverGetVersion"`
	GetErrorName       uintptr `sym:"cuGetErrorName"`
	DeviceGetCount     uintptr `sym:"cuDeviceGetCount"`
	DeviceGet          uintptr `sym:"cuDeviceGet"`
	DeviceGetName      uintptr `sym:"cuDeviceGetName"`
	DeviceGetAttribute uintptr `sym:"cuDeviceGetAttribute"`
	PrimaryCtxRetain   uintptr `sym:"cuDevicePrimaryCtxRetain"`
	PrimaryCtxRelease  uintptr `sym:"cuDevicePrimaryCtxRelease_v2"`
	CtxSetCurrent      uintptr `sym:"cuCtxSetCurrent"`
	MemAlloc           uintptr `sym:"cuMemAlloc_v2"`
	MemFree            uintptr `sym:"cuMemFree_v2"`
	MemGetInfo         uintptr `sym:"cuMemGetInfo_v2"`
	MemAllocHost       uintptr `sym:"cuMemAllocHost_v2"`
	MemFreeHost        uintptr `sym:"cuMemFreeHost"`
	MemcpyHtoDAsync    uintptr `sym:"cuMemcpyHtoDAsync_v2"`
	MemcpyDtoHAsync    uintptr `sym:"cuMemcpyDtoHAsync_v2"`
	MemcpyDtoDAsync    uintptr `sym:"cuMemcpyDtoDAsync_v2"`
	MemsetD8Async      uintptr `sym:"cuMemsetD8Async"`
	ModuleLoadDataEx   uintptr `sym:"cuModuleLoadDataEx"`
	ModuleGetFunction  uintptr `sym:"cuModuleGetFunction"`
	FuncSetAttribute   uintptr `sym:"cuFuncSetAttribute"`
	LaunchKernel       uintptr `sym:"cuLaunchKernel"`
	LaunchCooperative  uintptr `sym:"cuLaunchCooperativeKernel"`
	StreamCreate       uintptr `sym:"cuStreamCreate"`
	StreamDestroy      uintptr `sym:"cuStreamDestroy_v2"`
	StreamSynchronize  uintptr `sym:"cuStreamSynchronize"`
	StreamBeginCapture uintptr `sym:"cuStreamBeginCapture_v2"`
	StreamEndCapture   uintptr `sym:"cuStreamEndCapture"`
	GraphInstantiate   uintptr `sym:"cuGraphInstantiateWithFlags"`
	GraphUpload        uintptr `sym:"cuGraphUpload"`
	GraphLaunch        uintptr `sym:"cuGraphLaunch"`
	GraphExecDestroy   uintptr `sym:"cuGraphExecDestroy"`
	GraphDestroy       uintptr `sym:"cuGraphDestroy"`

	GraphNodeGetType            uintptr `sym:"cuGraphNodeGetType"`
	GraphKernelNodeSetAttribute uintptr `sym:"cuGraphKernelNodeSetAttribute"`
	CtxGetStreamPriorityRange   uintptr `sym:"cuCtxGetStreamPriorityRange"`

	StreamGetCaptureInfo            uintptr `sym:"cuStreamGetCaptureInfo_v2"`
	StreamUpdateCaptureDependencies uintptr `sym:"cuStreamUpdateCaptureDependencies"`

	TensorMapEncodeTiled uintptr `sym:"cuTensorMapEncodeTiled"`
}

// openDriver loads libcuda and initialises it.
func openDriver() (*driver, error) {
	lib, err := dynlib.Open(driverDirs(), "libcuda.so.1")
	if err != nil {
		return nil, errors.Wrap(err, "NVIDIA's driver is needed, for CUDA 12.4 or later")
	}
	d := &driver{lib: lib}
	if err := lib.Bind(d); err != nil {
		return nil, err
	}
	if err := d.check("cuInit", dynlib.Call(d.Init, 0)); err != nil {
		return nil, errors.Wrapf(err, "%s is there but no card answers", lib.Path)
	}
	var version int32
	if err := d.check("cuDriverGetVersion", dynlib.Call(d.DriverGetVersion, uintptr(unsafe.Pointer(&version)))); err != nil {
		return nil, err
	}
	if version < minDriver {
		return nil, errors.Errorf("%s is a driver for CUDA %d.%d; CUDA 12.4 or later is needed", lib.Path, version/1000, version%1000/10)
	}
	return d, nil
}

// Error is a status that a function of the CUDA driver returned.
type Error struct {
	Call string // the function
	Name string // of the status, as cuda.h has it
	Code int32
}

func (e *Error) Error() string { return fmt.Sprintf("%s returned %s (%d)", e.Call, e.Name, e.Code) }

// outOfMemory is CUDA_ERROR_OUT_OF_MEMORY.
const outOfMemory = 2

// check returns an Error unless the status r is success.
func (d *driver) check(function string, r int32) error {
	if r == 0 {
		return nil
	}
	e := &Error{Call: function, Name: "an unknown status", Code: r}
	var name *byte
	if dynlib.Call(d.GetErrorName, uintptr(r), uintptr(unsafe.Pointer(&name))) == 0 && name != nil {
		e.Name = cString(name)
	}
	return e
}

// cString returns a copy of the text at p up to its zero byte.
func cString(p *byte) string {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}
