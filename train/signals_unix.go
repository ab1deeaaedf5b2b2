//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

var hangup = []os.Signal{syscall.SIGHUP}

// closedOutput tells when the program has written to a standard output or error
// whose reader has gone. From then on such writes fail and do not end the program,
// which can finish in order. Pipes to programs that it has started do not count.
func closedOutput() <-chan syscall.Signal {
	pipes, closed := make(chan os.Signal, 1), make(chan syscall.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	go func() {
		for range pipes {
			if hasNoReader(1) || hasNoReader(2) {
				closed <- syscall.SIGPIPE
				return
			}
		}
	}()
	return closed
}

// hasNoReader reports whether what is written to a file descriptor is lost.
func hasNoReader(fd int) bool {
	watched := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(watched, 0)
	return err == nil && n > 0 && watched[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}
