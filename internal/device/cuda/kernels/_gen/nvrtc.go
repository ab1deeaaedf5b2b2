package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// compiler is NVRTC.
type compiler struct {
	handle        uintptr
	path, version string
}

//go:uintptrescapes
func call(fn uintptr, args ...uintptr) int32 {
	r, _, _ := purego.SyscallN(fn, args...)
	return int32(r)
}

func openCompiler(path string) (*compiler, error) {
	if path == "" {
		path = find()
	}
	// NVRTC opens its built-ins by name only and finds them if they are loaded.
	if found, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "libnvrtc-builtins.so.*")); len(found) > 0 {
		if _, err := purego.Dlopen(found[0], purego.RTLD_NOW|purego.RTLD_GLOBAL); err != nil {
			return nil, err
		}
	}
	h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("NVRTC 12.4 is needed; pip install --no-deps nvidia-cuda-nvrtc-cu12==12.4.127, or name libnvrtc.so.12 by -nvrtc: %w", err)
	}
	c := &compiler{handle: h, path: path}
	var major, minor int32
	if err := c.do("nvrtcVersion", uintptr(unsafe.Pointer(&major)), uintptr(unsafe.Pointer(&minor))); err != nil {
		return nil, err
	}
	c.version = fmt.Sprintf("%d.%d", major, minor)
	return c, nil
}

// find returns the library's path among the Python packages, else its name.
func find() string {
	roots := []string{os.Getenv("VIRTUAL_ENV"), "/usr", "/usr/local"}
	if home, err := os.UserHomeDir(); err == nil {
		roots = append(roots, home+"/.local", home+"/.pyenv/versions/*")
	}
	for _, root := range roots {
		found, _ := filepath.Glob(root + "/lib/python3*/*-packages/nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
		if root != "" && len(found) > 0 {
			return found[0]
		}
	}
	return "libnvrtc.so.12"
}

// do calls a function of the library, whose status must be 0.
//
//go:uintptrescapes
func (c *compiler) do(name string, args ...uintptr) error {
	fn, err := purego.Dlsym(c.handle, name)
	if err != nil {
		return err
	}
	if r := call(fn, args...); r != 0 {
		return fmt.Errorf("%s returned %d", name, r)
	}
	return nil
}

// compile returns the PTX of code and, if the architecture among the options is one of
// processors (sm_…), the machine code for them.
func (c *compiler) compile(name string, code []byte, options ...string) (ptx, cubin []byte, err error) {
	text, title := append(code[:len(code):len(code)], 0), append([]byte(name), 0)
	var program uintptr
	err = c.do("nvrtcCreateProgram", uintptr(unsafe.Pointer(&program)), uintptr(unsafe.Pointer(&text[0])), uintptr(unsafe.Pointer(&title[0])), 0, 0, 0)
	if err != nil {
		return nil, nil, err
	}
	defer c.do("nvrtcDestroyProgram", uintptr(unsafe.Pointer(&program)))
	var pin runtime.Pinner
	defer pin.Unpin()
	list := make([]*byte, len(options))
	for i, o := range options {
		b := append([]byte(o), 0)
		pin.Pin(&b[0])
		list[i] = &b[0]
	}
	failed := c.do("nvrtcCompileProgram", program, uintptr(len(options)), uintptr(unsafe.Pointer(&list[0])))
	if failed != nil {
		messages, err := c.read(program, "nvrtcGetProgramLog")
		if err != nil {
			return nil, nil, err
		}
		return nil, nil, fmt.Errorf("compiling %s: %w\n%s", name, failed, bytes.TrimSuffix(messages, []byte{0}))
	}
	if ptx, err = c.read(program, "nvrtcGetPTX"); err != nil {
		return nil, nil, err
	}
	cubin, err = c.read(program, "nvrtcGetCUBIN")
	return bytes.TrimSuffix(ptx, []byte{0}), cubin, err
}

// read returns what a program has of the given size and contents functions.
func (c *compiler) read(program uintptr, function string) ([]byte, error) {
	var n uintptr
	if err := c.do(function+"Size", program, uintptr(unsafe.Pointer(&n))); err != nil || n == 0 {
		return nil, err
	}
	text := make([]byte, n)
	return text, c.do(function, program, uintptr(unsafe.Pointer(&text[0])))
}
