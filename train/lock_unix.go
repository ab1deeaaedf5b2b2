//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/pkg/errors"
)

// lockRun keeps other processes from training in the same folder. The lock ends
// with the process, however that ends.
func lockRun(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, errors.Wrap(err, "locking the run's folder")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, errors.Errorf("another process is training in %s; wait for it, or stop it", dir)
	}
	return func() { f.Close() }, nil
}
