package cores

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ranOnce runs n calls and reports whether each was made exactly once.
func ranOnce(n int) bool {
	counts := make([]atomic.Int32, n)
	Run(n, func(i int) { counts[i].Add(1) })
	for i := range counts {
		if counts[i].Load() != 1 {
			return false
		}
	}
	return true
}

// withProcs runs f with each of several numbers of processors.
func withProcs(f func(procs int)) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for _, procs := range []int{1, 2, 3, 8} {
		runtime.GOMAXPROCS(procs)
		f(procs)
	}
}

func TestRunMakesEveryCallOnce(t *testing.T) {
	withProcs(func(procs int) {
		for n := range 100 {
			if !ranOnce(n) {
				t.Fatalf("%d processors: not every one of %d calls was made once", procs, n)
			}
		}
	})
}

func TestRunUsesSeveralCores(t *testing.T) {
	withProcs(func(procs int) {
		if procs == 1 {
			return
		}
		var inside atomic.Int32
		met := make(chan struct{})
		var once sync.Once
		Run(2, func(int) {
			if inside.Add(1) == 2 {
				once.Do(func() { close(met) })
			}
			select {
			case <-met:
			case <-time.After(10 * time.Second):
				t.Errorf("%d processors: two calls were not made at the same time", procs)
			}
		})
	})
}

// TestRunWithinRunAndBesideIt: jobs that find another one open are done all the
// same.
func TestRunWithinRunAndBesideIt(t *testing.T) {
	withProcs(func(procs int) {
		var wg sync.WaitGroup
		var wrong atomic.Int32
		for range 4 {
			wg.Go(func() {
				for range 50 {
					Run(5, func(int) {
						if !ranOnce(7) {
							wrong.Add(1)
						}
					})
				}
			})
		}
		wg.Wait()
		if wrong.Load() > 0 {
			t.Errorf("%d processors: %d runs went wrong", procs, wrong.Load())
		}
	})
}

func TestHelpersWakeUpAgain(t *testing.T) {
	for range 20 {
		if !ranOnce(64) {
			t.Fatal("not every call was made once")
		}
		time.Sleep(5 * patience)
	}
}

func TestRunAfterPanic(t *testing.T) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		Run(1, func(int) { panic("on purpose") })
	}()
	if current.open.Load() || current.taken.Load() || !ranOnce(100) {
		t.Error("a panic leaves its job open")
	}
}

// BenchmarkRun is the cost of spreading nothing.
func BenchmarkRun(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Run(8, func(int) {})
	}
}

// BenchmarkRunAfter is the cost of spreading nothing after so many microseconds of
// work on one core.
func BenchmarkRunAfter(b *testing.B) {
	for _, alone := range []time.Duration{0, 20 * time.Microsecond, 100 * time.Microsecond, 500 * time.Microsecond} {
		b.Run(alone.String(), func(b *testing.B) {
			var spent time.Duration
			for b.Loop() {
				for began := time.Now(); time.Since(began) < alone; {
				}
				began := time.Now()
				Run(4*runtime.GOMAXPROCS(0), func(int) {})
				spent += time.Since(began)
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "ns/run")
		})
	}
}

// TestWorkBeginsWithARangeOfItsOwn: a goroutine makes the calls of its range first,
// the same part of them in every job, then those that are left of the others.
func TestWorkBeginsWithARangeOfItsOwn(t *testing.T) {
	for _, c := range []struct {
		n, ranges, id int
		want          []int
	}{
		{8, 4, 0, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{8, 4, 2, []int{4, 5, 6, 7, 0, 1, 2, 3}},
		{7, 4, 3, []int{5, 6, 0, 1, 2, 3, 4}},
		{2, 2, 3, []int{1, 0}}, // fewer calls than cores
		{8, 4, 6, []int{4, 5, 6, 7, 0, 1, 2, 3}},
	} {
		var got []int
		j := job{f: func(i int) { got = append(got, i) }, procs: 4}
		j.cut(c.n, c.ranges)
		j.work(c.id)
		if !slices.Equal(got, c.want) || !j.drained.Load() {
			t.Errorf("%d calls in %d ranges: goroutine %d made %v, want %v", c.n, c.ranges, c.id, got, c.want)
		}
	}
}
