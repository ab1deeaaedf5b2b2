package cores

import "runtime"

// Rest lets a call of a Run wait for a moment for what other calls do, at the n-th time
// in turn, counted from 0. Like those who wait for work, it does not sleep.
func Rest(n int) {
	pause()
	if n%lookouts == lookouts-1 {
		runtime.Gosched()
	}
}
