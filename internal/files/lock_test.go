package files

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/pkg/errors"
)

func TestOneHoldsALock(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".lock")
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("a second one gets %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := AwaitLock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that waits gets %v", err)
	}
	time.AfterFunc(20*time.Millisecond, unlock)
	again, err := AwaitLock(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestNoLockInNoFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", ".lock")
	_, err := Lock(path)
	testutil.WantError(t, err, path)
}

// TestALockEndsWithItsProcess, which does not get to unlock.
func TestALockEndsWithItsProcess(t *testing.T) {
	const variable = "FILES_TEST_LOCK"
	if path := os.Getenv(variable); path != "" {
		if _, err := Lock(path); err != nil {
			os.Exit(8)
		}
		os.Exit(7)
	}
	path := filepath.Join(t.TempDir(), ".lock")
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), variable+"="+path)
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 7 {
		t.Fatal(err)
	}
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
