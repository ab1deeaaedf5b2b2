//go:build unix

package files

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestPipesAndDevicesAreNotRead: opening a pipe waits for one who writes, and
// /dev/zero has no end; every way to read says so at once.
func TestPipesAndDevicesAreNotRead(t *testing.T) {
	dir := t.TempDir()
	pipe, zero := filepath.Join(dir, "pipe"), filepath.Join(dir, "zero")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	if err := os.Symlink("/dev/zero", zero); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{pipe, zero} {
		for name, read := range map[string]func() error{
			"Open":         func() error { _, _, err := Open(path, AnySize); return err },
			"Read":         func() error { return second(Read(path, AnySize)) },
			"ReadVerified": func() error { return second(ReadVerified(path, AnySize)) },
		} {
			done := make(chan error, 1)
			go func() { done <- read() }()
			select {
			case err := <-done:
				testutil.WantError(t, err, path, "a pipe, a device")
			case <-time.After(10 * time.Second):
				t.Fatalf("%s waits for %s", name, path)
			}
		}
	}
	if err := os.Rename(pipe, filepath.Join(dir, SumsFile)); err != nil {
		t.Fatal(err)
	}
	_, err := ReadSums(dir)
	testutil.WantError(t, err, SumsFile, "a pipe, a device")
}
