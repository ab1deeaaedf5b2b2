package testutil

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// MPILaunchers returns the paths of the mpirun programs on this machine: those
// in the list XLSTM_MPIRUN, separated as PATH is, or else those of the usual
// packages.
func MPILaunchers() (paths []string) {
	if list := os.Getenv("XLSTM_MPIRUN"); list != "" {
		return filepath.SplitList(list)
	}
	for _, name := range []string{"mpirun.openmpi", "mpirun.mpich"} {
		if path, err := exec.LookPath(name); err == nil {
			paths = append(paths, path)
		}
	}
	if path, err := exec.LookPath("mpirun"); err == nil && paths == nil {
		paths = append(paths, path)
	}
	return paths
}

// MPICommand returns a command that starts ranks of a program, also more than
// there are cores, and for root.
func MPICommand(mpirun string, ranks int, program ...string) *exec.Cmd {
	cmd := exec.Command(mpirun, append([]string{"-n", strconv.Itoa(ranks)}, program...)...)
	cmd.Env = append(os.Environ(),
		"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
		"OMPI_MCA_rmaps_base_oversubscribe=1", "OMPI_MCA_hwloc_base_binding_policy=none", // Open MPI 4
		"PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe", "PRTE_MCA_hwloc_default_binding_policy=none", // Open MPI 5
	)
	return cmd
}
