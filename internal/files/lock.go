package files

import (
	"context"
	"os"
	"time"

	"github.com/pkg/errors"
)

// ErrLocked is what Lock returns, wrapped, while another holds the lock.
var ErrLocked = errors.New("locked by another process")

// Lock takes the lock that the file at path stands for, which is made if it is not
// there and stays. The lock is held until unlock is called or the process ends,
// however it ends. It is one for the whole machine on Unix but Solaris and AIX,
// and on Windows; other systems have none, and Lock returns at once there.
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

// AwaitLock is Lock that waits while another holds the lock, until ctx is done.
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
