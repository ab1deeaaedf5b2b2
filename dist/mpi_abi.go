//go:build mpi && linux && (amd64 || arm64)

package dist

import (
	"os"
	"unsafe"

	"github.com/gorgonia-xlstm/xlstm/internal/dynlib"
	"github.com/pkg/errors"
)

// abi is the values that MPI's constants have in a library. Its handles are
// addresses in Open MPI and integers elsewhere.
type abi struct {
	world, float, double, byte, sum, errorsReturn, inPlace, funneled uintptr
}

// standard is the ABI of MPI 5.0 (chapter 20), which libmpi_abi follows.
var standard = abi{world: 0x101, float: 0x210, double: 0x214, byte: 0x247, sum: 0x21, errorsReturn: 0x143, inPlace: 1, funneled: 1024}

// mpich is the ABI that MPICH and its relatives share: Intel MPI, MVAPICH and
// Cray MPICH.
var mpich = abi{world: 0x44000000, float: 0x4c00040a, double: 0x4c00080b, byte: 0x4c00010d, sum: 0x58000003, errorsReturn: 0x54000001, inPlace: ^uintptr(0), funneled: 1}

// openMPI is the variables whose addresses are the handles of Open MPI.
type openMPI struct {
	World        uintptr `sym:"ompi_mpi_comm_world"`
	Float        uintptr `sym:"ompi_mpi_float"`
	Double       uintptr `sym:"ompi_mpi_double"`
	Byte         uintptr `sym:"ompi_mpi_byte"`
	Sum          uintptr `sym:"ompi_mpi_op_sum"`
	ErrorsReturn uintptr `sym:"ompi_mpi_errors_return"`
}

// libraryVariable names the library to load, by its path, instead of the usual
// names.
const libraryVariable = "XLSTM_MPI_LIBRARY"

// openLibrary loads the MPI of the launcher.
func openLibrary(l launcher) (dynlib.Library, error) {
	if path := os.Getenv(libraryVariable); path != "" {
		lib, err := dynlib.Open(nil, path)
		return lib, errors.Wrap(err, libraryVariable)
	}
	names := []string{"libmpi.so.12", "libmpich.so.12", "libmpi_cray.so.12", "libmpi_abi.so.1", "libmpi_abi.so.0"}
	if l.openMPI {
		names = append([]string{"libmpi.so.40"}, names...)
	}
	lib, err := dynlib.Open(nil, names...)
	return lib, errors.Wrapf(err, "install an MPI, such as the packages openmpi-bin or mpich of your distribution, or set %s to the library's path", libraryVariable)
}

// abiOf tells the libraries apart: Open MPI by its variables, and MPI 5's ABI by
// the function that returns its version.
func abiOf(lib dynlib.Library) (abi, error) {
	if lib.Has("ompi_mpi_comm_world") {
		var o openMPI
		err := lib.Bind(&o)
		return abi{world: o.World, float: o.Float, double: o.Double, byte: o.Byte, sum: o.Sum, errorsReturn: o.ErrorsReturn, inPlace: 1, funneled: 1}, err
	}
	if !lib.Has("MPI_Abi_get_version") {
		return mpich, nil
	}
	var f struct {
		Version uintptr `sym:"MPI_Abi_get_version"`
	}
	if err := lib.Bind(&f); err != nil {
		return abi{}, err
	}
	v := make([]int32, 2) // -1 in libraries of another ABI
	if code := dynlib.Call(f.Version, uintptr(unsafe.Pointer(&v[0])), uintptr(unsafe.Pointer(&v[1]))); code != 0 {
		return abi{}, errors.Errorf("MPI_Abi_get_version of %s returned %d", lib.Path, code)
	}
	if v[0] >= 1 {
		return standard, nil
	}
	return mpich, nil
}
