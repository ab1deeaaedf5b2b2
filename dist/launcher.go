package dist

import (
	"os"
	"strconv"

	"github.com/pkg/errors"
)

// launcher is what the program that started this process says about the job.
type launcher struct {
	name       string // empty for none
	rank, size int
	openMPI    bool // reports whether the launcher is Open MPI's, or may be
}

// launchers lists the environment variables of rank and size. Slurm sets its own
// also in batch scripts, which are not ranks; those of PMIx and PMI are only set
// for ranks.
var launchers = []struct {
	name, rank, size string
	openMPI          bool
}{
	{"Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", true},
	{"mpirun or srun", "PMI_RANK", "PMI_SIZE", false},
	{"srun", "PMIX_RANK", "SLURM_STEP_NUM_TASKS", true},
}

// findLauncher returns the launcher that the environment describes, or one rank
// if there is none.
func findLauncher() (launcher, error) {
	for _, l := range launchers {
		rank, size := os.Getenv(l.rank), os.Getenv(l.size)
		if rank == "" || size == "" {
			continue
		}
		r, err := strconv.Atoi(rank)
		n, err2 := strconv.Atoi(size)
		if err != nil || err2 != nil || n < 1 || r < 0 || r >= n {
			return launcher{}, errors.Errorf("dist: the environment describes no rank: %s is %q, %s is %q", l.rank, rank, l.size, size)
		}
		return launcher{l.name, r, n, l.openMPI}, nil
	}
	return launcher{size: 1}, nil
}
