//go:build !unix

package main

import (
	"os"
	"syscall"
)

var hangup []os.Signal

// closedOutput never tells of anything where there is no signal for it.
func closedOutput() <-chan syscall.Signal { return nil }
