// Package osthread runs functions on one thread of the operating system, for
// libraries that tie their state to a thread.
package osthread

import (
	"runtime"
	"sync"

	"github.com/pkg/errors"
)

// ErrClosed is the error of calls after Close.
var ErrClosed = errors.New("the thread has ended")

// Thread is a goroutine that stays on one thread and calls what it is sent, in
// the order of sending.
type Thread struct {
	mu   sync.Mutex // held while work is sent, so that none is sent to a closed channel
	work chan request
}

type request struct {
	f    func() error
	done chan<- error
}

// New starts a thread. It ends with Close.
func New() *Thread {
	work := make(chan request)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for r := range work {
			r.done <- r.f()
		}
	}()
	return &Thread{work: work}
}

// Do calls f on the thread and returns its error, or ErrClosed after Close.
func (t *Thread) Do(f func() error) error {
	done := make(chan error, 1)
	if err := t.Start(f, done); err != nil {
		return err
	}
	return <-done
}

// Start calls f on the thread, once it has called everything sent before, and
// sends its error to done, which must have room for it.
func (t *Thread) Start(f func() error, done chan<- error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.work == nil {
		return ErrClosed
	}
	t.work <- request{f, done}
	return nil
}

// Close ends the thread, once it has called everything sent before.
func (t *Thread) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.work != nil {
		close(t.work)
		t.work = nil
	}
}
