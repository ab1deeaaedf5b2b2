//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"runtime"
)

// thread is a goroutine that stays on one thread of the operating system, as a
// CUDA context wants it, and does what it is sent in the order of sending.
type thread struct {
	work chan request
}

type request struct {
	f    func() error
	done chan error
}

func newThread() *thread {
	t := &thread{work: make(chan request)}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for r := range t.work {
			r.done <- r.f()
		}
	}()
	return t
}

// do runs f on the thread and returns its error.
func (t *thread) do(f func() error) error {
	done := make(chan error, 1)
	t.work <- request{f, done}
	return <-done
}

// close ends the goroutine; do must not be called again.
func (t *thread) close() { close(t.work) }
