//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"compress/gzip"
	"embed"
	"io"
	"io/fs"

	"github.com/pkg/errors"
)

// kernelFiles holds the kernels, which the generator compiles from kernels/*.cu with
// NVRTC, a module for each file and element type: as PTX, which the driver compiles
// for the card, and those in float32 also as machine code for the common cards. The
// driver compiles one module after the other, which takes seconds for those of a
// model when they are not in its cache.
//
//go:generate go run -C kernels/_gen . -out ..
//go:embed kernels/*.ptx.gz kernels/*.cubin.gz
var kernelFiles embed.FS

// readKernels returns a module, such as conv.f32, for cards of a compute capability:
// machine code if there is any for them, else PTX.
func readKernels(module string, major, minor int32) ([]byte, error) {
	if name := machineCode(module, major, minor); name != "" {
		if f, err := kernelFiles.Open(name); err == nil {
			return unpack(f, name)
		}
	}
	return readPTX(module)
}

// machineCode returns the name of the file with the machine code of a module. That
// of 8.0 runs on all cards of 8.x; some of 9.0 runs on no other.
func machineCode(module string, major, minor int32) string {
	switch {
	case major == 8:
		return "kernels/" + module + ".sm_80.cubin.gz"
	case major == 9 && minor == 0:
		return "kernels/" + module + ".sm_90.cubin.gz"
	}
	return ""
}

// readPTX returns the PTX of a module.
func readPTX(module string) ([]byte, error) {
	name := "kernels/" + module + ".ptx.gz"
	f, err := kernelFiles.Open(name)
	if err != nil {
		return nil, errors.Wrapf(err, "cuda: finding the kernels of %s", module)
	}
	return unpack(f, name)
}

// unpack reads and closes a compressed file.
func unpack(f fs.File, name string) ([]byte, error) {
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Wrapf(err, "cuda: unpacking %s", name)
	}
	image, err := io.ReadAll(z)
	return image, errors.Wrapf(err, "cuda: unpacking %s", name)
}
