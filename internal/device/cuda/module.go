//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"bytes"
	"runtime"
	"sync"
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/dynlib"
	"github.com/pkg/errors"
)

// function is a kernel of a loaded module.
type function struct {
	handle uintptr
	name   string
}

// function returns a kernel of the named module, when the module is loaded.
func (d *Device) function(name, kernel string) (function, error) {
	m := d.module(name)
	<-m.loaded
	if m.err != nil {
		return function{}, m.err
	}
	f, text := function{name: kernel}, append([]byte(kernel), 0)
	r := dynlib.Call(d.drv.ModuleGetFunction, uintptr(unsafe.Pointer(&f.handle)), m.handle, uintptr(unsafe.Pointer(&text[0])))
	return f, errors.Wrapf(d.drv.check("cuModuleGetFunction", r), "cuda: kernel %s of %s", kernel, name)
}

// module is a module of kernels that is loaded or on its way.
type module struct {
	loaded chan struct{} // closed when the others are set
	handle uintptr
	err    error
}

// modules are the modules of a device by their names.
type modules struct {
	mu   sync.Mutex
	all  map[string]*module
	read func(name string) ([]byte, error) // machine code for the device, or PTX
}

// module returns the named module. At the first time it begins to load it, in the
// background: the driver compiles a module for the card, which takes up to seconds
// for a large one.
func (d *Device) module(name string) *module {
	d.modules.mu.Lock()
	defer d.modules.mu.Unlock()
	m := d.modules.all[name]
	if m == nil {
		m = &module{loaded: make(chan struct{})}
		d.modules.all[name] = m
		go func() {
			defer close(m.loaded)
			m.handle, m.err = d.load(name)
		}()
	}
	return m
}

// awaitModules waits for all modules that are on their way.
func (d *Device) awaitModules() {
	d.modules.mu.Lock()
	defer d.modules.mu.Unlock()
	for _, m := range d.modules.all {
		<-m.loaded
	}
}

// load reads and loads a module, beside what thread does.
func (d *Device) load(name string) (handle uintptr, err error) {
	image, err := d.modules.read(name)
	if err != nil {
		return 0, err
	}
	beside := thread{enter: d.enter}
	err = beside.do(func() error {
		handle, err = d.loadModule(image)
		return err
	})
	return handle, errors.Wrapf(err, "cuda: loading the kernels of %s for %s", name, d.name)
}

// Options of cuModuleLoadDataEx.
const (
	jitErrorLogBuffer     = 5
	jitErrorLogBufferSize = 6
)

// loadModule loads machine code or PTX.
func (d *Device) loadModule(image []byte) (uintptr, error) {
	image = append(image, 0) // which ends PTX
	log := make([]byte, 4096)
	options := []int32{jitErrorLogBuffer, jitErrorLogBufferSize}
	var pin runtime.Pinner // values hold the address of log as a number
	defer pin.Unpin()
	pin.Pin(&log[0])
	values := []uintptr{uintptr(unsafe.Pointer(&log[0])), uintptr(len(log))}
	var module uintptr
	r := dynlib.Call(d.drv.ModuleLoadDataEx, uintptr(unsafe.Pointer(&module)), uintptr(unsafe.Pointer(&image[0])),
		uintptr(len(options)), uintptr(unsafe.Pointer(&options[0])), uintptr(unsafe.Pointer(&values[0])))
	if err := d.drv.check("cuModuleLoadDataEx", r); err != nil {
		return 0, errors.Errorf("%v: %s", err, bytes.TrimRight(log, "\x00\n"))
	}
	return module, nil
}

// maxDynamicShared is CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES.
const maxDynamicShared = 8

// allowShared lets a kernel be launched with n bytes of dynamic shared memory,
// which is needed beyond 48 KiB in all.
func (d *Device) allowShared(f function, n int) error {
	r := dynlib.Call(d.drv.FuncSetAttribute, f.handle, maxDynamicShared, uintptr(n))
	return errors.Wrapf(d.drv.check("cuFuncSetAttribute", r), "cuda: %d bytes of shared memory for %s", n, f.name)
}

// grid is the shape of a launch: blocks, threads in a block, and bytes of dynamic
// shared memory.
type grid struct {
	x, y, z int // blocks
	threads int // of a block, along x
	rows    int // along y, 0 for one
	shared  int
	// together makes all blocks run at the same time, or the launch an error.
	together bool
}

// kernelCall is a kernel with its grid and arguments, which can be enqueued any number
// of times.
type kernelCall struct {
	d     *Device
	f     function
	g     grid
	words []uint64         // an argument each
	args  []unsafe.Pointer // to words
}

// structure is a struct that is passed to a kernel by value; see byValue.
type structure struct {
	p    unsafe.Pointer
	size uintptr
}

// byValue returns s as an argument of a kernel, whose parameter must be a struct with
// the same fields.
func byValue[S any](s S) structure { return structure{unsafe.Pointer(&s), unsafe.Sizeof(s)} }

// words returns the structure as numbers of 64 bits, as which it holds addresses.
func (s structure) words() []address { return unsafe.Slice((*address)(s.p), s.size/8) }

// newCall prepares a call. As the kernel declares it, an argument is an address, an
// int32, int64, uint64, float32, float64 or a structure.
func (d *Device) newCall(f function, g grid, args ...any) (*kernelCall, error) {
	c := &kernelCall{d: d, f: f, g: g, words: make([]uint64, len(args)), args: make([]unsafe.Pointer, len(args)+1)}
	for i, a := range args {
		p := unsafe.Pointer(&c.words[i])
		switch a := a.(type) {
		case address:
			*(*address)(p) = a
		case int32:
			*(*int32)(p) = a
		case int64:
			*(*int64)(p) = a
		case uint64:
			*(*uint64)(p) = a
		case float32:
			*(*float32)(p) = a
		case float64:
			*(*float64)(p) = a
		case structure:
			p = a.p
		default:
			return nil, errors.Errorf("cuda: argument %d of kernel %s is a %T", i, f.name, a)
		}
		c.args[i] = p
	}
	if g.shared > 8<<10 { // beyond 48 KiB with what the kernel declares itself
		if err := d.allowShared(f, g.shared); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// enqueue sends the call to the stream. The driver copies the arguments.
func (c *kernelCall) enqueue() error {
	d := c.d
	if c.g.together {
		r := dynlib.Call(d.drv.LaunchCooperative, c.f.handle, uintptr(c.g.x), uintptr(max(c.g.y, 1)), uintptr(max(c.g.z, 1)),
			uintptr(c.g.threads), uintptr(max(c.g.rows, 1)), 1, uintptr(c.g.shared), d.stream, uintptr(unsafe.Pointer(&c.args[0])))
		return errors.Wrapf(d.drv.check("cuLaunchCooperativeKernel", r), "cuda: launching %s", c.f.name)
	}
	r := dynlib.Call(d.drv.LaunchKernel, c.f.handle, uintptr(c.g.x), uintptr(max(c.g.y, 1)), uintptr(max(c.g.z, 1)),
		uintptr(c.g.threads), uintptr(max(c.g.rows, 1)), 1, uintptr(c.g.shared), d.stream, uintptr(unsafe.Pointer(&c.args[0])), 0)
	return errors.Wrapf(d.drv.check("cuLaunchKernel", r), "cuda: launching %s", c.f.name)
}
