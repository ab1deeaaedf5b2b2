package testutil

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// RankLauncher starts the ranks of a job.
type RankLauncher struct {
	// MPIRun is an mpirun program; empty for ranks that connect over TCP.
	MPIRun string
}

// RankLaunchers returns the launchers on this machine: one over TCP, and for a
// program with MPI those in the list XLSTM_MPIRUN, separated as PATH is, or else
// those of the usual packages.
func RankLaunchers(mpi bool) []RankLauncher {
	all := []RankLauncher{{}}
	if !mpi {
		return all
	}
	if list := os.Getenv("XLSTM_MPIRUN"); list != "" {
		for _, path := range filepath.SplitList(list) {
			all = append(all, RankLauncher{path})
		}
		return all
	}
	for _, name := range []string{"mpirun.openmpi", "mpirun.mpich"} {
		if path, err := exec.LookPath(name); err == nil {
			all = append(all, RankLauncher{path})
		}
	}
	return all
}

// String names the launcher in a test.
func (l RankLauncher) String() string {
	if l.MPIRun == "" {
		return "TCP"
	}
	return filepath.Base(l.MPIRun)
}

// Job is the ranks of a job, and what they print.
type Job struct {
	Out  fmt.Stringer
	cmds []*exec.Cmd
	all  sync.WaitGroup
	errs []error
}

// output is a buffer that several processes may write to.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Start starts a job of ranks, which are given their arguments by args, with more
// variables in their environment. Ranks may be more than there are cores.
func (l RankLauncher) Start(t testing.TB, ranks int, env []string, args func(rank int) []string) *Job {
	t.Helper()
	var cmds []*exec.Cmd
	if l.MPIRun == "" {
		port := freePort(t)
		for r := range ranks {
			words := args(r)
			cmd := exec.Command(words[0], words[1:]...)
			cmd.Env = append(os.Environ(), "MASTER_ADDR=127.0.0.1", "MASTER_PORT="+port, "RANK="+strconv.Itoa(r), "WORLD_SIZE="+strconv.Itoa(ranks))
			cmds = append(cmds, cmd)
		}
	} else {
		var words []string
		for r := range ranks {
			if r > 0 {
				words = append(words, ":")
			}
			words = append(append(words, "-n", "1"), args(r)...)
		}
		cmd := exec.Command(l.MPIRun, words...)
		cmd.Env = append(os.Environ(), MPIForTests()...)
		cmds = append(cmds, cmd)
	}
	return StartJob(t, cmds, env)
}

// MPIForTests returns the variables with which mpirun programs start more ranks
// than there are cores, and run for root.
func MPIForTests() []string {
	return []string{
		"OMPI_ALLOW_RUN_AS_ROOT=1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
		"OMPI_MCA_rmaps_base_oversubscribe=1", "OMPI_MCA_hwloc_base_binding_policy=none", // Open MPI 4
		"PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe", "PRTE_MCA_hwloc_default_binding_policy=none", // Open MPI 5
	}
}

// StartJob starts the commands that make a job, with more variables in their
// environments.
func StartJob(t testing.TB, cmds []*exec.Cmd, env []string) *Job {
	t.Helper()
	out := new(output)
	j := &Job{Out: out, cmds: cmds, errs: make([]error, len(cmds))}
	for i, cmd := range cmds {
		cmd.Env = append(cmd.Env, env...)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		j.all.Go(func() { j.errs[i] = cmd.Wait() })
	}
	return j
}

// Wait waits for all ranks and returns an error if one of them failed.
func (j *Job) Wait() error {
	j.all.Wait()
	for _, err := range j.errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// freePort returns a port at which nothing listens, below the range from which
// systems choose ports themselves: one of those may be given to another program until
// rank 0 listens.
func freePort(t testing.TB) string {
	t.Helper()
	const first, ports = 20000, 12000
	var failed error
	for range 100 {
		port := strconv.Itoa(first + rand.IntN(ports))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			l.Close()
			return port
		}
		failed = err
	}
	t.Fatal(failed)
	return ""
}
