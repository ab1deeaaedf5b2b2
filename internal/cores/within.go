package cores

import (
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// within is what Runs within the calls of a long job share.
var within struct {
	jobs [32]job
	free atomic.Int64 // goroutines for which no call of the long job is left
	_    line
	all  atomic.Int64 // GOMAXPROCS when the long job began, 0 without one
	_    line
}

// settled is how often a goroutine looks for work where it found some before, until it
// looks elsewhere. The caches of its core hold what it wrote there.
const settled = 64

// runWithin is Run during a long job, which has procs cores. It may end meanwhile, if it is
// another goroutine's.
func runWithin(n int, f func(i int), procs int) {
	if n < 2 || within.free.Load() <= 0 {
		serial(n, f)
		return
	}
	first := place()
	for k := range within.jobs {
		if j := &within.jobs[(first+k)%len(within.jobs)]; j.taken.CompareAndSwap(false, true) {
			j.do(n, f, procs, 0, false)
			return
		}
	}
	serial(n, f)
}

// place returns the index of a job, mostly the same for a goroutine and another one
// for another: their stacks are in different places. Thus those who help it need not
// look elsewhere after each job.
func place() int {
	var here byte
	hash := uint64(uintptr(unsafe.Pointer(&here))>>13) * 0x9e3779b97f4a7c15
	return int(hash >> 32 % uint64(len(within.jobs)))
}

// assist takes part in the jobs within the calls of j until they all have returned.
func (j *job) assist(id int) {
	within.free.Add(1)
	defer within.free.Add(-1)
	at, since := &within.jobs[0], time.Now()
	for look := 0; j.open.Load() && j.left.Load() > 0; look++ {
		if look%settled == 0 {
			at = another(at)
		}
		if at.help(id) {
			look, since = 0, time.Now()
		}
		pause()
		if look%lookouts == lookouts-1 && time.Since(since) >= courtesy {
			runtime.Gosched()
			since = time.Now()
		}
	}
}

// help is join for a goroutine that is free otherwise.
func (j *job) help(id int) bool {
	if !j.open.Load() || j.drained.Load() {
		return false
	}
	within.free.Add(-1)
	defer within.free.Add(1)
	return j.join(id)
}

// another returns an open job, one without a helper if there is one, or else at.
func another(at *job) *job {
	for k := range within.jobs {
		if j := &within.jobs[k]; j.open.Load() && !j.drained.Load() {
			if at = j; j.entered.Load() == 0 {
				break
			}
		}
	}
	return at
}
