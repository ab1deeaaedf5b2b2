//go:build linux

package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/pkg/errors"
)

// eachLauncher calls f for every way to start ranks.
func eachLauncher(t *testing.T, f func(t *testing.T, l testutil.RankLauncher)) {
	t.Helper()
	for _, l := range testutil.RankLaunchers(hasMPI()) {
		t.Run(l.String(), func(t *testing.T) { f(t, l) })
	}
}

// hasMPI reports whether this test program has MPI.
func hasMPI() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "-tags" && slices.Contains(strings.Split(s.Value, ","), "mpi")
	})
}

// onRanks is the program as a job of so many ranks.
func onRanks(t *testing.T, l testutil.RankLauncher, ranks int, args ...string) *testutil.Job {
	t.Helper()
	return l.Start(t, ranks, []string{asMain + "=1", "GOMAXPROCS=1"}, func(int) []string { return append([]string{os.Args[0]}, args...) })
}

func runOnRanks(t *testing.T, l testutil.RankLauncher, ranks int, args ...string) string {
	t.Helper()
	job := onRanks(t, l, ranks, args...)
	if err := job.Wait(); err != nil {
		t.Fatalf("%d ranks: %v\n%s", ranks, err, job.Out)
	}
	return job.Out.String()
}

// shared is small with a batch that 1, 2, 3 and 4 ranks can share.
func shared(text, out string, more ...string) []string {
	return small(text, out, append([]string{"-batch", "12", "-carry", "-lr", "1e-3"}, more...)...)
}

// wantSameCurve compares the losses of two runs, on the training text and on the
// held-out part: they may differ by rounding, which grows from step to step.
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
		if apart > 1e-6*float64(a[i].Step+10) {
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
	eachLauncher(t, func(t *testing.T, l testutil.RankLauncher) {
		for _, ranks := range []int{2, 3, 4} {
			first, again := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "again")
			out := runOnRanks(t, l, ranks, shared(text, first)...)
			if !strings.Contains(out, fmt.Sprintf("ranks   %d, with %d sequences", ranks, 12/ranks)) || strings.Count(out, "A sample:") != 1 {
				t.Errorf("%d ranks print\n%s", ranks, out)
			}
			wantSameCurve(t, fmt.Sprintf("%d ranks", ranks), first, alone)
			runOnRanks(t, l, ranks, shared(text, again)...)
			sameRun(t, fmt.Sprintf("%d ranks twice", ranks), again, first)
			if ranks != 3 {
				continue
			}
			sharded := filepath.Join(t.TempDir(), "sharded")
			runOnRanks(t, l, ranks, shared(text, sharded, "-shard-optimizer")...)
			sameRun(t, fmt.Sprintf("%d ranks with a sharded optimiser", ranks), sharded, first)
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
	if out, err := exec1(shared(text, alone, "-steps", "150", "-warmup", "4")...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eachLauncher(t, func(t *testing.T, l testutil.RankLauncher) {
		dir := filepath.Join(t.TempDir(), "run")
		stopAfter := func(steps, ranks int, args ...string) {
			job := onRanks(t, l, ranks, args...)
			awaitSteps(t, dir, steps)
			for _, pid := range ranksOf(t, dir) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			if err := job.Wait(); err == nil {
				t.Errorf("the job succeeded without a rank\n%s", job.Out)
			}
		}
		stopAfter(20, 4, shared(text, dir, "-steps", "150", "-warmup", "4", "-shard-optimizer")...)
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
	eachLauncher(t, func(t *testing.T, l testutil.RankLauncher) {
		dir := filepath.Join(t.TempDir(), "run")
		job := onRanks(t, l, 3, shared(text, dir, "-steps", "1000000", "-warmup", "4")...)
		awaitSteps(t, dir, 10)
		ranks := ranksOf(t, dir)
		if len(ranks) != 3 {
			t.Fatalf("%d processes train, want 3", len(ranks))
		}
		start := time.Now()
		syscall.Kill(ranks[1], syscall.SIGKILL)
		job.Wait()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("the job ended %v after a rank was killed", took)
		}
		if out := job.Out.String(); l.MPIRun == "" && strings.Count(out, "rank 1 has ended") != 2 {
			t.Errorf("the other ranks do not say why they end\n%s", out)
		} else {
			t.Log(out)
		}
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
		"settings": {shared(text, "OUT", "-lr", "0.01"), "the setting lr is 0.01 instead of 0.001"},
		"text":     {shared(other, "OUT"), "the text to train on is"},
		"shards":   {shared(text, "OUT", "-shard-optimizer"), "the sharding of the optimiser is true instead of false"},
	} {
		t.Run(name, func(t *testing.T) {
			eachLauncher(t, func(t *testing.T, l testutil.RankLauncher) {
				dir := filepath.Join(t.TempDir(), "run")
				job := l.Start(t, 2, []string{asMain + "=1"}, func(rank int) []string {
					if rank == 0 {
						return append([]string{os.Args[0]}, shared(text, dir)...)
					}
					return append([]string{os.Args[0]}, strings.Split(strings.ReplaceAll(strings.Join(c.second, "\x00"), "OUT", dir), "\x00")...)
				})
				err := job.Wait()
				out := job.Out.String()
				if err == nil || !strings.Contains(out, c.want) || !strings.Contains(out, "rank 1 differs from rank 0") {
					t.Errorf("%v\n%s", err, out)
				}
				if _, err := os.Stat(filepath.Join(dir, run.LogFile)); err == nil {
					t.Error("a step was taken")
				}
			})
		})
	}
}

// TestALossEndsACommandThatWaits: a GPU waits for that of a rank that has ended.
// On a clock of its own, it does not depend on how busy the machine is.
func TestALossEndsACommandThatWaits(t *testing.T) { synctest.Test(t, testALossEndsACommand) }

func testALossEndsACommand(t *testing.T) {
	loss, own := errors.New("lost"), errors.New("own")
	ended, lost := make(chan error, 1), make(chan error, 1)
	lost <- loss
	if got := commandsEnd(ended, lost); got != loss {
		t.Errorf("a command that waits ends with %v", got)
	}
	lost <- loss
	time.AfterFunc(patience/4, func() { ended <- own })
	if got := commandsEnd(ended, lost); got != own {
		t.Errorf("a command that ends by itself ends with %v", got)
	}
	ended <- nil
	if got := commandsEnd(ended, lost); got != nil {
		t.Errorf("a command that succeeds ends with %v", got)
	}
}
