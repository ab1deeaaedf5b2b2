//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"runtime"
	"sync"

	"github.com/pkg/errors"
)

// thread calls functions one after the other, each with the device's context current
// on the thread of the operating system that it runs on: that of the caller, because
// a call from one thread to another takes longer than what most of them do.
type thread struct {
	mu     sync.Mutex
	enter  func() error // makes the context current; nil until there is one
	closed bool
}

var errClosed = errors.New("the device is closed")

// do calls f and returns its error, errClosed after close. f must not call do.
func (t *thread) do(f func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if t.enter != nil {
		if err := t.enter(); err != nil {
			return err
		}
	}
	return f()
}

// close lets no more functions be called.
func (t *thread) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}
