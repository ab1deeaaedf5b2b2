//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"compress/gzip"
	"embed"
	"io"

	"github.com/pkg/errors"
)

// ptxFiles holds the kernels as PTX, which the generator compiles from kernels/*.cu
// with NVRTC: a module for each file and element type.
//
//go:generate go run -C kernels/_gen . -out ..
//go:embed kernels/*.ptx.gz
var ptxFiles embed.FS

// readPTX returns the PTX of a module, such as norm.f32.
func readPTX(module string) ([]byte, error) {
	f, err := ptxFiles.Open("kernels/" + module + ".ptx.gz")
	if err != nil {
		return nil, errors.Wrapf(err, "cuda: finding the kernels of %s", module)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Wrapf(err, "cuda: unpacking the kernels of %s", module)
	}
	ptx, err := io.ReadAll(z)
	return ptx, errors.Wrapf(err, "cuda: unpacking the kernels of %s", module)
}
