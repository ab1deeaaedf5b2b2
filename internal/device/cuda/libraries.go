//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/ebitengine/purego"
	"github.com/pkg/errors"
)

// library is a loaded shared library.
type library struct {
	handle uintptr
	path   string
}

// openLibrary loads the first of names that it finds: in the places where the dynamic
// loader looks (such as LD_LIBRARY_PATH), then in dirs.
func openLibrary(dirs []string, names ...string) (library, error) {
	for _, name := range names {
		if h, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_GLOBAL); err == nil {
			return library{h, name}, nil
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
				return library{h, path}, nil
			}
			broken = "; " + err.Error()
		}
	}
	return library{}, errors.Errorf("found no %s in the dynamic loader's path or in %s%s",
		strings.Join(names, ", "), strings.Join(dirs, ", "), broken)
}

// bind sets every field of the struct that table points to, of type uintptr, to
// the address of the function that the field's tag sym names.
func (l library) bind(table any) error {
	fields := reflect.ValueOf(table).Elem()
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Tag.Get("sym")
		if name == "" {
			continue
		}
		address, err := purego.Dlsym(l.handle, name)
		if err != nil {
			return errors.Errorf("%s lacks the function %s; install a newer version", l.path, name)
		}
		fields.Field(i).SetUint(uint64(address))
	}
	return nil
}

// call calls a C function that takes at most 32 integers and pointers and returns an
// int. A pointer into Go's memory must be converted in the call expression itself,
// uintptr(unsafe.Pointer(p)), to stay valid.
//
//go:uintptrescapes
func call(fn uintptr, args ...uintptr) int32 {
	r, _, _ := purego.SyscallN(fn, args...)
	return int32(r)
}

// driverDirs lists the folders in which NVIDIA's driver puts its libraries on systems
// whose loader does not search them.
func driverDirs() []string {
	return []string{"/usr/local/nvidia/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib/wsl/lib"}
}

// toolkitDirs lists the folders in which CUDA's libraries may be: those named by
// environment variables, the toolkit's, and those of the Python packages nvidia-*, in
// the layout shared by all parts and in that of the given part.
func toolkitDirs(part string) []string {
	patterns := filepath.SplitList(os.Getenv("LD_LIBRARY_PATH"))
	for _, variable := range []string{"CUDA_PATH", "CUDA_HOME"} {
		if dir := os.Getenv(variable); dir != "" {
			patterns = append(patterns, dir+"/lib64", dir+"/lib")
		}
	}
	patterns = append(patterns, "/usr/local/cuda/lib64", "/usr/local/cuda-1*/lib64", "/opt/cuda/lib64",
		"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")
	roots := []string{os.Getenv("VIRTUAL_ENV"), os.Getenv("CONDA_PREFIX"), ".venv", "/usr", "/usr/local", "/opt/*", "/opt/*/.venv"}
	if home, err := os.UserHomeDir(); err == nil {
		roots = append(roots, home+"/.local")
	}
	for _, root := range roots {
		if root == "" {
			continue
		}
		for _, site := range []string{"/lib/python3*/site-packages", "/lib/python3*/dist-packages"} {
			patterns = append(patterns, root+site+"/nvidia/cu1*/lib", root+site+"/nvidia/"+part+"/lib")
		}
	}
	return globAll(patterns)
}

// globAll returns the folders that match the patterns, in the order of the patterns.
func globAll(patterns []string) (dirs []string) {
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // a malformed folder in LD_LIBRARY_PATH matches nothing
		}
		dirs = append(dirs, found...)
	}
	return dirs
}
