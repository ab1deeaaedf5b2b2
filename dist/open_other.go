//go:build !(mpi && linux && (amd64 || arm64))

package dist

import (
	"context"

	"github.com/pkg/errors"
)

// hasMPI reports whether this program can use MPI.
const hasMPI = false

// open reports that this program cannot connect to other ranks.
func open(_ context.Context, _ Config, l launcher, _ func(string)) (Group, error) {
	return nil, errors.Errorf("dist: %s started this process as rank %d of %d, but the program was built without MPI; build it on Linux with -tags mpi, or set MASTER_ADDR to the address of rank 0 for ranks whose GPUs add up the gradients", l.name, l.rank, l.size)
}
