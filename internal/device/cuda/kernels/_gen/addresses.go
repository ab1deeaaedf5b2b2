package main

import (
	"os"
	"runtime"
	"syscall"
)

// fixAddresses starts this program again, and those that it starts, without random
// addresses in memory. NVRTC orders some sets by addresses, so that the PTX of a module
// could otherwise be another one in every run.
func fixAddresses() {
	const ask, notRandom = 0xffffffff, 0x0040000 // ADDR_NO_RANDOMIZE
	runtime.LockOSThread()                       // whose personality the new program gets
	defer runtime.UnlockOSThread()
	old, _, failed := syscall.Syscall(syscall.SYS_PERSONALITY, ask, 0, 0)
	if failed != 0 || old&notRandom != 0 {
		return
	}
	if _, _, failed := syscall.Syscall(syscall.SYS_PERSONALITY, old|notRandom, 0, 0); failed != 0 {
		return // a container may not allow it; .ci/run then shows whether it mattered
	}
	program, err := os.Executable()
	check(err)
	check(syscall.Exec(program, os.Args, os.Environ()))
}
