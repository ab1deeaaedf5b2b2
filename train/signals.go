package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// interruption is the signal that asks the program to finish.
type interruption struct{ signal syscall.Signal }

func (i interruption) Error() string { return fmt.Sprintf("stopped by the signal %v", i.signal) }

// exitCode is what shells give a program that a signal ended.
func (i interruption) exitCode() int { return 128 + int(i.signal) }

// untilInterrupted returns a context that ends with the next interrupt, which then
// does not end the program; stop must be called when it is not needed any more.
func untilInterrupted(ctx context.Context) (interrupted context.Context, stop func()) {
	return signal.NotifyContext(ctx, os.Interrupt)
}

// keepInterrupts takes interrupts away from untilSignalled: from now on they are
// for those who ask for them.
func keepInterrupts() {
	signal.Reset(os.Interrupt)
	// Those between two answers would end the program by default.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
}

// untilSignalled returns a context that ends with an interruption as its cause when
// the program is asked to finish: by an interrupt, a request to terminate, a
// terminal that hangs up, or an output whose reader has gone. A second signal ends
// the program at once. Signals that are ignored from the start, as under nohup,
// stay ignored.
func untilSignalled() context.Context {
	ctx, end := context.WithCancelCause(context.Background())
	caught := make(chan os.Signal, 1)
	for _, s := range append([]os.Signal{os.Interrupt, syscall.SIGTERM}, hangup...) {
		if !signal.Ignored(s) {
			signal.Notify(caught, s)
		}
	}
	closed := closedOutput()
	go func() {
		select {
		case s := <-caught:
			end(interruption{s.(syscall.Signal)})
		case s := <-closed:
			end(interruption{s})
		}
		signal.Stop(caught)
	}()
	return ctx
}
