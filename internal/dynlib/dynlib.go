//go:build (nvidia || mpi) && linux && (amd64 || arm64)

package dynlib

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/ebitengine/purego"
	"github.com/pkg/errors"
)

// Library is a shared library that was loaded.
type Library struct {
	// Path is the file, or the name by which the dynamic loader found it.
	Path   string
	handle uintptr
}

// Open loads the first of names that there is: where the dynamic loader looks
// (LD_LIBRARY_PATH among others), then in dirs.
func Open(dirs []string, names ...string) (Library, error) {
	for _, name := range names {
		if h, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_GLOBAL); err == nil {
			return Library{name, h}, nil
		}
	}
	var broken string
	for _, dir := range dirs {
		for _, name := range names {
			path := filepath.Join(dir, name)
			if _, err := os.Stat(path); err != nil {
				continue
			}
			h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
			if err == nil {
				return Library{path, h}, nil
			}
			broken = "; " + err.Error()
		}
	}
	where := "the dynamic loader's path"
	if len(dirs) > 0 {
		where += " or in " + strings.Join(dirs, ", ")
	}
	return Library{}, errors.Errorf("found no %s in %s%s", strings.Join(names, ", "), where, broken)
}

// Close unloads the library, which runs the functions that it has registered for
// the end of the process: a Go program ends without them.
func (l Library) Close() error {
	return errors.Wrapf(purego.Dlclose(l.handle), "unloading %s", l.Path)
}

// Has reports whether the library has a function or variable of that name.
func (l Library) Has(name string) bool {
	_, err := purego.Dlsym(l.handle, name)
	return err == nil
}

// Bind sets every field of the struct that table points to, of type uintptr, to
// the address of the function or variable that the field's tag sym names.
func (l Library) Bind(table any) error {
	fields := reflect.ValueOf(table).Elem()
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Tag.Get("sym")
		if name == "" {
			continue
		}
		address, err := purego.Dlsym(l.handle, name)
		if err != nil {
			return errors.Errorf("%s lacks the function %s; install a newer version", l.Path, name)
		}
		fields.Field(i).SetUint(uint64(address))
	}
	return nil
}

// Call calls a C function whose arguments are integers and pointers, 32 at most,
// and whose result is an int. A pointer into Go's memory must be converted in
// the call itself, uintptr(unsafe.Pointer(p)): only then does it stay valid.
//
//go:uintptrescapes
func Call(fn uintptr, args ...uintptr) int32 {
	r, _, _ := purego.SyscallN(fn, args...)
	return int32(r)
}
