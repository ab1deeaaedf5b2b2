package dist

import (
	"net"
	"os"
	"strconv"

	"github.com/pkg/errors"
)

// launcher is what the program that started this process says about the job.
type launcher struct {
	name       string // empty for none
	rank, size int
	mpi        bool   // reports whether the launcher connects its ranks by MPI
	openMPI    bool   // reports whether that is Open MPI, or may be
	master     string // address of rank 0, empty if it is not known
}

// launchers lists the environment variables of rank and size. Slurm sets its own
// also in batch scripts, which are not ranks: they count only with MASTER_ADDR.
var launchers = []struct {
	name, rank, size string
	mpi, openMPI     bool
}{
	{"Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", true, true},
	{"mpirun or srun", "PMI_RANK", "PMI_SIZE", true, false},
	{"srun", "PMIX_RANK", "SLURM_STEP_NUM_TASKS", true, true},
	{"the launcher", "RANK", "WORLD_SIZE", false, false},
	{"srun", "SLURM_PROCID", "SLURM_NTASKS", false, false},
}

// findLauncher returns the launcher that the environment describes, or one rank
// if there is none.
func findLauncher() (launcher, error) {
	master := masterAddress()
	for _, l := range launchers {
		rank, size := os.Getenv(l.rank), os.Getenv(l.size)
		if rank == "" || size == "" || !l.mpi && master == "" {
			continue
		}
		r, err := strconv.Atoi(rank)
		n, err2 := strconv.Atoi(size)
		if err != nil || err2 != nil || n < 1 || r < 0 || r >= n {
			return launcher{}, errors.Errorf("dist: the environment describes no rank: %s is %q, %s is %q", l.rank, rank, l.size, size)
		}
		return launcher{l.name, r, n, l.mpi, l.openMPI, master}, nil
	}
	return launcher{size: 1}, nil
}

// masterAddress returns the address of rank 0, empty if the environment has none.
// Under torchrun, its own agent listens at MASTER_PORT, and rank 0 at the next.
func masterAddress() string {
	host, port := os.Getenv("MASTER_ADDR"), os.Getenv("MASTER_PORT")
	if host == "" {
		return ""
	}
	if port == "" {
		port = "29500"
	}
	if n, err := strconv.Atoi(port); err == nil && os.Getenv("TORCHELASTIC_USE_AGENT_STORE") == "True" {
		port = strconv.Itoa(n + 1)
	}
	return net.JoinHostPort(host, port)
}

// LocalRank returns the number of this process among those of the job on its
// machine, as the launcher gives it, and 0 if it does not.
func LocalRank() int {
	for _, name := range []string{"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"} {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n >= 0 {
			return n
		}
	}
	return 0
}
