//go:build mpi

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// machines are two network namespaces that stand for two machines: each has its
// own interfaces, and two cables connect them.
type machines struct {
	t     *testing.T
	names [2]string
	agent string // a program that starts others on one of them, as ssh does
}

// The cables have the same name at both ends. Launchers use one and ranks the
// other.
const (
	forLauncher = "launch0"
	forRanks    = "ranks0"
)

// address returns the address of a machine's end of a cable.
func address(cable string, machine int) string {
	net := map[string]int{forLauncher: 1, forRanks: 2}[cable]
	return fmt.Sprintf("10.213.%d.%d", net, machine+1)
}

// newMachines makes two machines, or skips the test with the reason.
func newMachines(t *testing.T) *machines {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can make network namespaces")
	}
	m := &machines{t: t}
	for i := range m.names {
		m.names[i] = fmt.Sprintf("xlstm-%d-%d", os.Getpid(), i)
		if out, err := exec.Command("ip", "netns", "add", m.names[i]).CombinedOutput(); err != nil {
			t.Skipf("this machine has no network namespaces: ip netns add: %v %s", err, out)
		}
		t.Cleanup(func() { exec.Command("ip", "netns", "del", m.names[i]).Run() })
		m.ip("-n", m.names[i], "link", "set", "lo", "up")
	}
	m.connect(forLauncher)
	m.connect(forRanks)
	m.writeAgent()
	return m
}

// connect connects the machines by a cable.
func (m *machines) connect(cable string) {
	m.t.Helper()
	m.ip("link", "add", cable, "netns", m.names[0], "type", "veth", "peer", "name", cable, "netns", m.names[1])
	for i, name := range m.names {
		m.ip("-n", name, "addr", "add", address(cable, i)+"/24", "dev", cable)
		m.ip("-n", name, "link", "set", cable, "up")
	}
	for _, name := range m.names {
		for try := 0; !strings.Contains(m.ip("-n", name, "link", "show", cable), "state UP"); try++ {
			if try == 100 {
				m.t.Fatalf("%s does not come up", cable)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// writeAgent writes the program that takes the place of ssh. The machines have
// names of their own, by which MPIs tell them apart.
func (m *machines) writeAgent() {
	m.t.Helper()
	script := "#!/bin/sh\nwhile :; do\n\tcase $1 in\n"
	for i, name := range m.names {
		script += fmt.Sprintf("\t%s) machine=%s; shift; break ;;\n", address(forLauncher, i), name)
	}
	script += "\t*) shift ;;\n\tesac\ndone\nexec ip netns exec $machine unshare --uts sh -c \"hostname $machine; $*\"\n"
	m.agent = filepath.Join(m.t.TempDir(), "agent")
	if err := os.WriteFile(m.agent, []byte(script), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machines) ip(args ...string) string {
	m.t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// unplug takes the ranks' cable out of a machine.
func (m *machines) unplug(machine int) {
	m.ip("-n", m.names[machine], "link", "set", forRanks, "down")
}

// received returns the number of bytes that have come to a machine's ranks.
func (m *machines) received(machine int) int {
	m.t.Helper()
	out, err := exec.Command("ip", "netns", "exec", m.names[machine], "cat", "/sys/class/net/"+forRanks+"/statistics/rx_bytes").Output()
	if err != nil {
		m.t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// start starts a rank on each of the machines.
func (m *machines) start(l testutil.RankLauncher, args ...string) *testutil.Job {
	m.t.Helper()
	program := append([]string{os.Args[0]}, args...)
	var cmds []*exec.Cmd
	if l.MPIRun == "" {
		for i, name := range m.names {
			cmd := exec.Command("ip", append([]string{"netns", "exec", name}, program...)...)
			cmd.Env = append(os.Environ(), "MASTER_ADDR="+address(forRanks, 0), "RANK="+strconv.Itoa(i), "WORLD_SIZE=2")
			cmds = append(cmds, cmd)
		}
	} else {
		words := append([]string{address(forLauncher, 0), l.MPIRun}, m.flags(l)...)
		cmd := exec.Command(m.agent, append(words, program...)...)
		cmd.Env = append(append(os.Environ(), testutil.MPIForTests()...), m.overTCP()...)
		cmds = append(cmds, cmd)
	}
	return testutil.StartJob(m.t, cmds, []string{asMain + "=1", "GOMAXPROCS=1"})
}

// flags returns the flags with which an mpirun starts a rank on each machine.
func (m *machines) flags(l testutil.RankLauncher) []string {
	m.t.Helper()
	version, err := exec.Command(l.MPIRun, "--version").Output()
	if err != nil {
		m.t.Fatalf("%s --version: %v", l.MPIRun, err)
	}
	first, second := address(forLauncher, 0), address(forLauncher, 1)
	if strings.Contains(string(version), "HYDRA") { // MPICH
		return []string{"-launcher", "ssh", "-launcher-exec", m.agent, "-hosts", first + "," + second, "-iface", forLauncher, "-n", "2"}
	}
	return []string{"--host", first + ":1," + second + ":1", "--map-by", "ppr:1:node", "-n", "2"}
}

// overTCP returns the variables that make MPIs use the cables instead of the
// memory that both namespaces share.
func (m *machines) overTCP() []string {
	return []string{
		"OMPI_MCA_plm_rsh_agent=" + m.agent, "PRTE_MCA_plm_ssh_agent=" + m.agent,
		"OMPI_MCA_oob_tcp_if_include=" + forLauncher, "PRTE_MCA_prte_if_include=" + forLauncher,
		"OMPI_MCA_pml=ob1", "OMPI_MCA_btl=tcp,self", "OMPI_MCA_btl_tcp_if_include=" + forRanks,
		"UCX_TLS=tcp,self", "UCX_NET_DEVICES=" + forRanks, "FI_PROVIDER=tcp", "FI_TCP_IFACE=" + forRanks, // MPICH
	}
}

// wait waits for a job. MPI_Finalize of MPICH 4.0 with UCX 1.13 does not always
// return when it uses TCP, also in programs that do nothing else; what the run has
// to write has been written by then. A rank then says so and ends without it, at which
// the launcher does not end well, if at all.
func (m *machines) wait(job *testutil.Job, dir string) error {
	m.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- job.Wait() }()
	var err error
	select {
	case err = <-ended:
		if err == nil || !strings.Contains(job.Out.String(), "leaving the job") {
			return err
		}
	case <-time.After(time.Minute):
		m.kill()
		err = <-ended
	}
	if _, missing := os.Stat(filepath.Join(dir, run.ReportFile)); missing != nil {
		return err
	}
	m.t.Logf("the run is whole, but its processes did not end as they should: %v\n%s", err, job.Out)
	return nil
}

// kill ends the processes on both machines.
func (m *machines) kill() {
	for _, name := range m.names {
		for _, pid := range strings.Fields(m.ip("netns", "pids", name)) {
			if n, err := strconv.Atoi(pid); err == nil {
				syscall.Kill(n, syscall.SIGKILL)
			}
		}
	}
}

func TestTwoMachinesTrainAsOne(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	alone := filepath.Join(dir, "alone")
	if out, err := exec1(shared(text, alone)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eachLauncher(t, func(t *testing.T, l testutil.RankLauncher) {
		m := newMachines(t)
		both := filepath.Join(t.TempDir(), "both")
		job := m.start(l, shared(text, both)...)
		if err := m.wait(job, both); err != nil {
			t.Fatalf("%v\n%s", err, job.Out)
		}
		wantSameCurve(t, "two machines", both, alone)
		// 24 steps add up the gradients of 9,988 parameters.
		if n := m.received(1); n < 24*4*9988 {
			t.Errorf("only %d bytes have come to the second machine: the gradients took another way", n)
		} else {
			t.Logf("%d bytes came over the cable\n%s", n, job.Out)
		}
	})
}

// TestAMachineThatCannotBeReached: the ranks, or their MPI, say so within the
// time-out, and the job ends.
func TestAMachineThatCannotBeReached(t *testing.T) {
	text := sampleText(t)
	eachLauncher(t, func(t *testing.T, l testutil.RankLauncher) {
		m := newMachines(t)
		m.unplug(1)
		wants := []string{"reach"} // "unable to reach each other", "unreachable"
		if l.MPIRun == "" {
			wants = []string{"rank 1 of 2, connecting within 1m0s: rank 0 cannot be reached", "rank 0 of 2, connecting within 1m0s: 1 of the other ranks"}
		}
		out := failing(t, m, l, shared(text, filepath.Join(t.TempDir(), "run")))
		// mpirun of MPICH 4.0 loses what ranks print while it ends them, in about
		// every second job.
		for try := 0; l.MPIRun != "" && try < 10 && !strings.Contains(out, wants[0]); try++ {
			out = failing(t, m, l, shared(text, filepath.Join(t.TempDir(), "run")))
		}
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("no rank says that %s\n%s", want, out)
			}
		}
		t.Log(out)
	})
}

// failing runs a job that must fail within the time-out, and returns what it prints.
func failing(t *testing.T, m *machines, l testutil.RankLauncher, args []string) string {
	t.Helper()
	start := time.Now()
	job := m.start(l, args...)
	if err := job.Wait(); err == nil {
		t.Fatalf("the job succeeded\n%s", job.Out)
	}
	if took := time.Since(start); took > 75*time.Second {
		t.Errorf("the job ended after %v", took)
	}
	return job.Out.String()
}

// TestAMachineThatIsLost during the training: nothing closes its connections, and the
// ranks end all the same.
func TestAMachineThatIsLost(t *testing.T) {
	m := newMachines(t)
	dir := filepath.Join(t.TempDir(), "run")
	job := m.start(testutil.RankLauncher{}, shared(sampleText(t), dir, "-steps", "1000000", "-warmup", "4")...)
	awaitSteps(t, dir, 10)
	m.unplug(1)
	start := time.Now()
	if err := job.Wait(); err == nil {
		t.Error("the job succeeded without a rank")
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the job ended %v after a cable was taken out", took)
	}
	if out := job.Out.String(); strings.Count(out, "nothing was heard from it for 10s") != 2 {
		t.Errorf("the ranks do not say why they end\n%s", out)
	} else {
		t.Log(out)
	}
}
