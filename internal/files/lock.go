package files

import (
	"context"
	"os"
	"time"

	"github.com/pkg/errors"
)

// ErrLocked is returned by Lock, wrapped, while another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// Lock takes the lock of the file at path, which is created if it does not
// exist and is not removed. The lock is held until unlock is called or the
// process ends, for whatever reason. It excludes all other processes of the
// machine on Windows and on Unix except Solaris and AIX; other systems have no
// such locks, and Lock returns at once there.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, errors.Wrap(err, "locking")
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, errors.Wrapf(err, "locking %s", path)
	}
	return func() { f.Close() }, nil // which releases it
}

// AwaitLock is like Lock, but waits, until ctx is done, while another process
// holds the lock.
func AwaitLock(ctx context.Context, path string) (unlock func(), err error) {
	for {
		unlock, err := Lock(path)
		if !errors.Is(err, ErrLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Wrapf(ctx.Err(), "waiting for the lock %s, which another process holds", path)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
