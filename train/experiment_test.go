//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestExperimentsThatEndLeaveCheckpoints, whether the program was asked to end or
// was killed: the processes of its runs see to it, and the next start continues.
func TestExperimentsThatEndLeaveCheckpoints(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "parity")
	names := []string{"parity-running-mlstm-1", "parity-end-mlstm-1"}
	all := func(is func(name string) bool) func() bool {
		return func() bool { return is(names[0]) && is(names[1]) }
	}
	started := all(func(name string) bool { // a process has the run
		lock := filepath.Join(dir, "."+name+".lock")
		if _, err := os.Stat(lock); err != nil {
			return false
		}
		unlock, err := files.Lock(lock)
		if err == nil {
			unlock()
		}
		return err != nil
	})
	ended := all(func(name string) bool {
		unlock, err := files.Lock(filepath.Join(dir, "."+name+".lock"))
		if err == nil {
			unlock()
		}
		return err == nil
	})
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		cmd, out := child("experiment", "-cells", "mlstm", "-seeds", "1", "-workers", "2", "-out", dir, "parity")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		testutil.Await(t, "both runs have a process", started)
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		testutil.Await(t, "both runs have ended", ended)
		for _, name := range names {
			if _, err := os.Stat(filepath.Join(dir, name+".checkpoint", "training.safetensors")); err != nil {
				t.Errorf("%v: %v", s, err)
			}
			if err := os.RemoveAll(filepath.Join(dir, name+".checkpoint")); err != nil {
				t.Fatal(err)
			}
		}
		if s == syscall.SIGTERM && !strings.Contains(out.String(), "Stopped. To continue: ") {
			t.Errorf("it says\n%s", out)
		}
	}
}

// TestExperimentErrors are one sentence each.
func TestExperimentErrors(t *testing.T) {
	for _, test := range []struct {
		args []string
		says string
	}{
		{nil, "needs the name of one experiment"}, {[]string{"alchemy"}, `no experiment "alchemy"; there are parity`},
		{[]string{"parity", "-cells", "gru"}, `no cell "gru"`}, {[]string{"parity", "-seeds", "0"}, "at least 1"}, {[]string{"parity", "-workers", "-1"}, "-workers is -1"},
		{[]string{"claims", "-out", filepath.Join(t.TempDir(), "none", "claims")}, "none"},
	} {
		if _, _, err := runHere(context.Background(), append([]string{"experiment"}, test.args...)...); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v: %v", test.args, err)
		}
	}
	if out, _, err := runHere(context.Background(), "experiment", "-h"); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out, "recall") || !strings.Contains(out, "-cells") {
		t.Errorf("the help is\n%s", out)
	}
}
