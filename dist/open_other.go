//go:build !(mpi && linux && (amd64 || arm64))

package dist

import (
	"context"

	"github.com/pkg/errors"
)

// open reports that this program cannot connect to other ranks.
func open(_ context.Context, _ Config, l launcher, _ func(string)) (Group, error) {
	return nil, errors.Errorf("dist: %s started this process as rank %d of %d, but the program was built without MPI; build it on Linux with -tags mpi", l.name, l.rank, l.size)
}
