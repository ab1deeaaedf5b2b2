//go:build !mpi

package dist_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/dist"
)

// hasMPI reports whether this test program has MPI.
const hasMPI = false

func TestAProgramWithoutMPISaysHowToBuildIt(t *testing.T) {
	noLauncher(t)
	t.Setenv("PMI_RANK", "1")
	t.Setenv("PMI_SIZE", "4")
	_, err := dist.Open(context.Background(), dist.Config{}, nil)
	if err == nil || !strings.Contains(err.Error(), "rank 1 of 4") || !strings.Contains(err.Error(), "-tags mpi") {
		t.Error(err)
	}
}
