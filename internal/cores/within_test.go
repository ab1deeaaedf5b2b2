package cores

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRunLongMakesEveryCallOnce, and every call of the Runs within, for fewer and more
// calls than processors.
func TestRunLongMakesEveryCallOnce(t *testing.T) {
	withProcs(func(procs int) {
		for n := range 12 {
			counts := make([]atomic.Int32, n)
			var wrong atomic.Int32
			RunLong(n, func(i int) {
				counts[i].Add(1)
				for range 30 {
					if !ranOnce(7) {
						wrong.Add(1)
					}
				}
			})
			for i := range counts {
				if c := counts[i].Load(); c != 1 || wrong.Load() > 0 {
					t.Fatalf("%d processors: call %d of %d was made %d times, %d Runs within were wrong", procs, i, n, c, wrong.Load())
				}
			}
		}
	})
}

// TestFreeCoresTakePartWithinOthers: two long calls on four processors, within each of
// which two calls have to be made at the same time, as soon as there is somebody free.
func TestFreeCoresTakePartWithinOthers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	RunLong(2, func(i int) {
		var met atomic.Bool
		for began := time.Now(); !met.Load(); runtime.Gosched() {
			var inside atomic.Int32
			Run(2, func(int) {
				inside.Add(1)
				defer inside.Add(-1)
				for waited := time.Now(); !met.Load() && time.Since(waited) < time.Millisecond; runtime.Gosched() {
					if inside.Load() == 2 {
						met.Store(true)
					}
				}
			})
			if time.Since(began) > 10*time.Second {
				t.Errorf("no other goroutine took part within call %d", i)
				return
			}
		}
	})
}

// TestProcsAreAShareWithinLongCalls, which grows when some have returned.
func TestProcsAreAShareWithinLongCalls(t *testing.T) {
	withProcs(func(procs int) {
		for n := range procs + 1 {
			var all, seen sync.WaitGroup
			all.Add(n)
			seen.Add(n)
			RunLong(n, func(i int) {
				all.Done()
				all.Wait() // as many calls as processors run at the same time
				if got := Procs(); got != procs/n {
					t.Errorf("%d processors: %d for one of %d calls", procs, got, n)
				}
				seen.Done()
				if seen.Wait(); i > 0 || n == 1 {
					return
				}
				for began := time.Now(); Procs() != procs; runtime.Gosched() {
					if time.Since(began) > 10*time.Second {
						t.Errorf("%d processors: %d for the last of %d calls", procs, Procs(), n)
						return
					}
				}
			})
			if Procs() != procs {
				t.Errorf("%d processors: %d remain", procs, Procs())
			}
		}
	})
}

// TestRunsWithinALongOneBesideOthers: several goroutines at the same time.
func TestRunsWithinALongOneBesideOthers(t *testing.T) {
	withProcs(func(procs int) {
		var group sync.WaitGroup
		var wrong atomic.Int32
		for range 4 {
			group.Go(func() {
				for range 20 {
					RunLong(3, func(int) {
						Run(5, func(int) {
							if !ranOnce(4) {
								wrong.Add(1)
							}
						})
					})
				}
			})
		}
		group.Wait()
		if wrong.Load() > 0 {
			t.Errorf("%d processors: %d runs went wrong", procs, wrong.Load())
		}
	})
}

func TestRunLongAfterPanic(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		began, panics := make(chan struct{}), make(chan struct{})
		var first sync.Once
		caller := goroutine()
		RunLong(1000, func(int) { // more than there are helpers
			if goroutine() != caller {
				first.Do(func() { close(began) })
				<-panics
				return
			}
			<-began
			close(panics)
			panic("on purpose")
		})
	}()
	if current.open.Load() || current.taken.Load() || within.free.Load() != 0 || !ranOnce(100) {
		t.Error("a panic leaves its job open")
	}
}

// goroutine returns the beginning of a stack trace, which has the number of the
// goroutine.
func goroutine() string {
	var buf [20]byte
	return string(buf[:runtime.Stack(buf[:], false)])
}

// BenchmarkRunWithin is the cost of spreading nothing within one of two long calls,
// with as many free processors as there are besides.
func BenchmarkRunWithin(b *testing.B) {
	RunLong(2, func(i int) {
		if i == 0 {
			for b.Loop() {
				Run(8, func(int) {})
			}
		}
	})
}
