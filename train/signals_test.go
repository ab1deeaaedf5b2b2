//go:build unix

package main

import (
	"bufio"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
)

// long is a run that does not come to its end by itself while a test waits.
func long(text, out string) []string { return small(text, out, "-steps", "1000000", "-warmup", "4") }

// TestSignalsEndARunWithACheckpoint, and the exit code tells which it was.
func TestSignalsEndARunWithACheckpoint(t *testing.T) {
	text := sampleText(t)
	for s, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		if signal.Ignored(s) {
			t.Logf("%v is ignored here, as under nohup, and by runs that are started here", s)
			continue
		}
		dir := filepath.Join(t.TempDir(), "run")
		cmd, out := child(long(text, dir)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		awaitSteps(t, dir, 3)
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(out.String(), "Stopped after step") {
			t.Errorf("%v: exit code %d, want %d\n%s", s, got, code, out)
		}
		wantCheckpointOfLastStep(t, dir)
	}
}

// wantCheckpointOfLastStep checks that no step of a run that was stopped is lost.
func wantCheckpointOfLastStep(t *testing.T, dir string) {
	t.Helper()
	records, _, err := run.ReadLog(filepath.Join(dir, run.LogFile))
	found, _ := rundir.Checkpoints(dir, rundir.LastKind)
	if err != nil || len(records) == 0 || len(found) == 0 || found[0].Step != records[len(records)-1].Step {
		t.Errorf("checkpoints %v for %d steps: %v", found, len(records), err)
	}
}

// TestClosedOutputEndsARunWithACheckpoint: as that of "train | head -1".
func TestClosedOutputEndsARunWithACheckpoint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	cmd, _ := child(long(sampleText(t), dir)...)
	cmd.Stdout, cmd.Stderr = nil, nil
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	out.Close()
	ended := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	cmd.Wait()
	ended.Stop()
	if got := cmd.ProcessState.ExitCode(); got != 141 {
		t.Errorf("exit code %d, want 141: %v", got, cmd.ProcessState)
	}
	wantCheckpointOfLastStep(t, dir)
}

// TestIgnoredHangupStaysIgnored, as under nohup.
func TestIgnoredHangupStaysIgnored(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	cmd, out := child(long(sampleText(t), dir)...)
	cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `trap "" HUP; exec "$@"`, "sh"}, cmd.Args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	awaitSteps(t, dir, 3)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	records, _, err := run.ReadLog(filepath.Join(dir, run.LogFile))
	if err != nil {
		t.Fatal(err)
	}
	awaitSteps(t, dir, len(records)+10)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 130 {
		t.Errorf("exit code %d, want 130\n%s", got, out)
	}
}
