//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"runtime"
	"sync"

	"github.com/pkg/errors"
)

// thread is a goroutine locked to a thread of the operating system, as a CUDA context
// requires. It calls the functions sent to it in the order of sending.
type thread struct {
	mu   sync.Mutex // held while work is sent, so that none is sent to a closed channel
	work chan request
}

type request struct {
	f    func() error
	done chan error
}

var errClosed = errors.New("the device is closed")

func newThread() *thread {
	work := make(chan request)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for r := range work {
			r.done <- r.f()
		}
	}()
	return &thread{work: work}
}

// do calls f on the thread and returns its error, or errClosed after close.
func (t *thread) do(f func() error) error {
	done := make(chan error, 1)
	if err := t.send(request{f, done}); err != nil {
		return err
	}
	return <-done
}

func (t *thread) send(r request) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.work == nil {
		return errClosed
	}
	t.work <- r
	return nil
}

// close ends the goroutine.
func (t *thread) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.work != nil {
		close(t.work)
		t.work = nil
	}
}
