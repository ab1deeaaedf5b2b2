//go:build mpi

package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// eachLauncher calls f for every mpirun there is.
func eachLauncher(t *testing.T, f func(t *testing.T, mpirun string)) {
	t.Helper()
	launchers := testutil.MPILaunchers()
	if launchers == nil {
		t.Skip("no mpirun on this machine")
	}
	for _, mpirun := range launchers {
		t.Run(filepath.Base(mpirun), func(t *testing.T) { f(t, mpirun) })
	}
}

// onRanks is the program as a job of so many ranks.
func onRanks(mpirun string, ranks int, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := testutil.MPICommand(mpirun, ranks, append([]string{os.Args[0]}, args...)...)
	cmd.Env = append(cmd.Env, asMain+"=1", "GOMAXPROCS=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	return cmd, &out
}

func runOnRanks(t *testing.T, mpirun string, ranks int, args ...string) string {
	t.Helper()
	cmd, out := onRanks(mpirun, ranks, args...)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%d ranks: %v\n%s", ranks, err, out)
	}
	return out.String()
}

// shared is small with a batch that 1, 2, 3 and 4 ranks can share.
func shared(text, out string, more ...string) []string {
	return small(text, out, append([]string{"-batch", "12", "-carry"}, more...)...)
}

// wantSameCurve compares the losses of two runs, on the training text and on the
// held-out part.
func wantSameCurve(t *testing.T, what, got, want string) {
	t.Helper()
	a, _, err := run.ReadLog(filepath.Join(got, run.LogFile))
	b, _, err2 := run.ReadLog(filepath.Join(want, run.LogFile))
	if err != nil || err2 != nil || len(a) != len(b) || len(a) == 0 {
		t.Fatalf("%s: %d steps, want %d: %v, %v", what, len(a), len(b), err, err2)
	}
	for i := range a {
		apart := math.Abs(a[i].Loss - b[i].Loss)
		if a[i].Val != nil {
			apart = max(apart, math.Abs(*a[i].Val-*b[i].Val))
		}
		if apart > 1e-5 {
			t.Fatalf("%s: the losses of step %d are %.3g apart", what, a[i].Step, apart)
		}
	}
}

func TestAJobOfRanksIsTheSameRun(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	alone := filepath.Join(dir, "alone")
	if out, err := exec1(shared(text, alone)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eachLauncher(t, func(t *testing.T, mpirun string) {
		for _, ranks := range []int{2, 3, 4} {
			first, again := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "again")
			out := runOnRanks(t, mpirun, ranks, shared(text, first)...)
			if !strings.Contains(out, fmt.Sprintf("ranks   %d, with %d sequences", ranks, 12/ranks)) || strings.Count(out, "A sample:") != 1 {
				t.Errorf("%d ranks print\n%s", ranks, out)
			}
			wantSameCurve(t, fmt.Sprintf("%d ranks", ranks), first, alone)
			runOnRanks(t, mpirun, ranks, shared(text, again)...)
			sameRun(t, fmt.Sprintf("%d ranks twice", ranks), again, first)
		}
	})
}

func exec1(args ...string) (string, error) {
	cmd, out := child(args...)
	err := cmd.Run()
	return out.String(), err
}

// TestAJobIsResumedOnFewerRanks: 4 ranks are killed, 2 and then 1 finish the run.
func TestAJobIsResumedOnFewerRanks(t *testing.T) {
	text, dir := sampleText(t), t.TempDir()
	alone := filepath.Join(dir, "alone")
	if out, err := exec1(shared(text, alone, "-steps", "400", "-warmup", "4")...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eachLauncher(t, func(t *testing.T, mpirun string) {
		dir := filepath.Join(t.TempDir(), "run")
		stopAfter := func(steps, ranks int, args ...string) {
			cmd, out := onRanks(mpirun, ranks, args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			awaitSteps(t, dir, steps)
			for _, pid := range ranksOf(t, dir) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			if err := cmd.Wait(); err == nil {
				t.Errorf("the job succeeded without a rank\n%s", out)
			}
		}
		stopAfter(20, 4, shared(text, dir, "-steps", "400", "-warmup", "4")...)
		stopAfter(60, 2, "resume", dir)
		if out, err := exec1("resume", dir); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		wantSameCurve(t, "4, 2 and 1 ranks", dir, alone)
	})
}

// ranksOf returns the processes that train in a folder.
func ranksOf(t *testing.T, dir string) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		line, err2 := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && err2 == nil && strings.HasPrefix(string(line), os.Args[0]) && strings.Contains(string(line), dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestALostRankEndsTheJob within seconds, and the last checkpoint is good.
func TestALostRankEndsTheJob(t *testing.T) {
	text := sampleText(t)
	eachLauncher(t, func(t *testing.T, mpirun string) {
		dir := filepath.Join(t.TempDir(), "run")
		cmd, out := onRanks(mpirun, 3, shared(text, dir, "-steps", "1000000", "-warmup", "4")...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		awaitSteps(t, dir, 10)
		ranks := ranksOf(t, dir)
		if len(ranks) != 3 {
			t.Fatalf("%d processes train, want 3", len(ranks))
		}
		start := time.Now()
		syscall.Kill(ranks[1], syscall.SIGKILL)
		cmd.Wait()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("the job ended %v after a rank was killed", took)
		}
		t.Log(out)
		found, err := rundir.Checkpoints(dir, rundir.LastKind)
		if err != nil || len(found) == 0 {
			t.Fatalf("checkpoints %v, %v", found, err)
		}
		if out, err := exec1("sample", dir, "-n", "5"); err != nil {
			t.Errorf("sampling from what the job left: %v\n%s", err, out)
		}
	})
}

// TestRanksThatDifferAreRefused before the first step.
func TestRanksThatDifferAreRefused(t *testing.T) {
	text, other := sampleText(t), filepath.Join(t.TempDir(), "other.txt")
	was, err := os.ReadFile(text)
	if err != nil {
		t.Fatal(err)
	}
	was[len(was)/2] = 'q'
	if err := os.WriteFile(other, was, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		second []string // the arguments of rank 1
		want   string
	}{
		"settings": {shared(text, "OUT", "-lr", "0.01"), "the setting lr is 0.01 instead of 0.008"},
		"text":     {shared(other, "OUT"), "the text to train on is"},
	} {
		t.Run(name, func(t *testing.T) {
			eachLauncher(t, func(t *testing.T, mpirun string) {
				dir := filepath.Join(t.TempDir(), "run")
				words := append([]string{os.Args[0]}, shared(text, dir)...)
				words = append(words, ":", "-n", "1", os.Args[0])
				for _, w := range c.second {
					words = append(words, strings.ReplaceAll(w, "OUT", dir))
				}
				cmd := testutil.MPICommand(mpirun, 1, words...)
				cmd.Env = append(cmd.Env, asMain+"=1")
				out, err := cmd.CombinedOutput()
				if err == nil || !strings.Contains(string(out), c.want) || !strings.Contains(string(out), "rank 1 differs from rank 0") {
					t.Errorf("%v\n%s", err, out)
				}
				if _, err := os.Stat(filepath.Join(dir, run.LogFile)); err == nil {
					t.Error("a step was taken")
				}
			})
		})
	}
}
