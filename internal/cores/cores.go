// Package cores distributes short pieces of work over the cores.
//
// A goroutine that has to be woken on another core starts tens of microseconds
// late, which is as long as many pieces of work take. After a piece of work,
// the goroutines of this package therefore wait actively for more work for a
// while before they sleep.
package cores

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long a goroutine looks out for more work: longer than another one
// works on its last piece in a step of training. It would have to be woken for the
// next operation otherwise, and with sixteen cores many would.
const patience = 2 * time.Millisecond

const (
	// lookouts is how often it looks before it looks at the clock: some
	// microseconds.
	lookouts = 100
	// courtesy is how long it keeps the core before it lets other goroutines have
	// it. If it did so all the time, the goroutines of many cores would wait for each
	// other at the lock of Go's scheduler.
	courtesy = 50 * time.Microsecond
)

// job is calls of f, shared by the goroutines that have entered it. Each of them
// begins with a range of its own, the same part of the calls in every job, so that
// it finds in its core's cache what it wrote there in the last job; then it takes
// over calls of the others. What goroutines change has a line of the caches to
// itself, so that the others need not wait for it when they read the rest.
type job struct {
	f       func(i int)
	procs   int
	ranges  []calls
	long    bool        // the calls take long and start jobs of their own
	drained atomic.Bool // no calls are left
	_       line
	// taken is set while a caller has the job, open while helpers may join it.
	taken, open atomic.Bool
	_           line
	entered     atomic.Int64 // goroutines that may still look at the job
	_           line
	left        atomic.Int64 // of a long job, the calls that have not returned
	_           line
}

// calls is a range of calls of a job: next … end−1 are left.
type calls struct {
	next atomic.Int64
	end  int64
	_    line
}

// line keeps what is before and after it in different lines of a cache, which
// some processors fetch in pairs.
type line [128]byte

var (
	// current is the one job that there is at a time, besides those within it.
	current job
	// hired is the number of helpers, asleep that of those who sleep.
	hired, asleep atomic.Int64
	hiring        sync.Mutex
	wake          = make(chan struct{}, 1024)
)

// Run calls f(0) … f(n−1), on as many cores as GOMAXPROCS allows, and returns
// when all calls have returned. The calls must be independent of each other. A
// Run within a call of f, or during the Run of another goroutine, makes all
// calls in its own goroutine, except within RunLong. Run does not allocate after it
// has started its goroutines.
func Run(n int, f func(i int)) { run(n, f, false) }

// RunLong is Run for calls that take long and call Run themselves: a goroutine for
// which no call is left takes part in the Runs within the calls of others.
func RunLong(n int, f func(i int)) { run(n, f, true) }

func run(n int, f func(i int), long bool) {
	if procs := int(within.all.Load()); procs > 0 {
		runWithin(n, f, procs)
		return
	}
	procs := runtime.GOMAXPROCS(0)
	if min(procs, n) < 2 || !current.taken.CompareAndSwap(false, true) {
		serial(n, f)
		return
	}
	if !long {
		current.do(n, f, procs, min(procs, n)-1, false)
		return
	}
	current.left.Store(int64(n))
	within.all.Store(int64(procs))
	defer within.all.Store(0)
	current.do(n, f, procs, procs-1, true)
}

// Procs returns the number of cores that may take part in a Run: GOMAXPROCS or,
// during a RunLong, a fair share of it for each of the calls that have not returned.
// Work may be divided accordingly.
func Procs() int {
	if all := within.all.Load(); all > 0 {
		return int(max(1, all/max(1, current.left.Load())))
	}
	return runtime.GOMAXPROCS(0)
}

// do makes the calls of a job that has been taken. It makes sure that so many helpers
// are awake.
func (j *job) do(n int, f func(i int), procs, helpers int, long bool) {
	j.f, j.procs, j.long = f, procs, long
	j.cut(n, min(procs, n))
	j.drained.Store(false)
	j.open.Store(true)
	defer j.close() // even if f panics here
	call(helpers)
	j.work(0)
	if long {
		j.assist(0)
	}
}

// cut divides n calls into ranges.
func (j *job) cut(n, ranges int) {
	if cap(j.ranges) < ranges {
		j.ranges = make([]calls, ranges)
	}
	j.ranges = j.ranges[:ranges]
	for r := range j.ranges {
		j.ranges[r].next.Store(int64(n * r / ranges))
		j.ranges[r].end = int64(n * (r + 1) / ranges)
	}
}

// close waits for the helpers in the job.
func (j *job) close() {
	j.open.Store(false)
	// A goroutine that entered before is at its last call, and no other one
	// enters.
	for since := time.Now(); j.entered.Load() != 0; {
		for i := 0; i < lookouts && j.entered.Load() != 0; i++ {
			pause()
		}
		if time.Since(since) >= courtesy {
			runtime.Gosched()
		}
	}
	j.f = nil
	j.taken.Store(false)
}

func serial(n int, f func(i int)) {
	for i := range n {
		f(i)
	}
}

// work makes calls until none are left: the caller's, which is 0, or those of a
// helper.
func (j *job) work(id int) {
	first := id % j.procs * len(j.ranges) / j.procs
	for k := range j.ranges {
		if j.drained.Load() {
			return // another goroutine has looked at all ranges
		}
		r := &j.ranges[(first+k)%len(j.ranges)]
		for r.next.Load() < r.end {
			if i := r.next.Add(1) - 1; i < r.end {
				j.f(int(i))
				if j.long {
					j.left.Add(-1)
				}
			}
		}
	}
	j.drained.Store(true)
}

// call makes sure that so many helpers are there and awake.
func call(helpers int) {
	if int(hired.Load()) < helpers {
		hiring.Lock()
		for int(hired.Load()) < helpers {
			go help(int(hired.Add(1)))
		}
		hiring.Unlock()
	}
	for range min(helpers, int(asleep.Load())) {
		select {
		case wake <- struct{}{}:
		default: // as many as may ever sleep have been woken already
		}
	}
}

// help joins jobs for as long as the program runs, as helper id, counted from 1.
func help(id int) {
	for {
		lookOut(id)
		// A job that is opened from here on sees a sleeper; one that was opened
		// just before is joined first.
		asleep.Add(1)
		if !current.open.Load() {
			<-wake
		}
		asleep.Add(-1)
	}
}

// lookOut joins jobs until there has been none for as long as patience lasts.
func lookOut(id int) {
	worked := time.Now()
	yielded := worked
	for {
		for range lookouts {
			if current.join(id) {
				worked = time.Now()
			}
			pause()
		}
		switch now := time.Now(); {
		case now.Sub(worked) >= patience:
			return
		case now.Sub(yielded) >= courtesy:
			runtime.Gosched()
			yielded = time.Now()
		}
	}
}

// join lets helper id take part in the job, if it is open and calls are left.
func (j *job) join(id int) bool {
	if !j.open.Load() || j.drained.Load() {
		return false
	}
	j.entered.Add(1)
	defer j.entered.Add(-1)
	// Only now is it certain that the caller waits.
	if !j.open.Load() {
		return false
	}
	j.work(id)
	if j.long {
		j.assist(id)
	}
	return true
}
