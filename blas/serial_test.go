package blas

import (
	"runtime"
	"testing"
)

// TestSerialStaysHere: a serial BLAS does large products in the calling goroutine.
func TestSerialStaysHere(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	runtime.GOMAXPROCS(4)
	for _, name := range []string{"best serial", "gonum serial"} {
		impl := sets()[name]
		for _, g := range largeCases[float32]() {
			stop, most := make(chan struct{}), make(chan int)
			before := runtime.NumGoroutine()
			go func() {
				top := 0
				for {
					select {
					case <-stop:
						most <- top
						return
					default:
						top = max(top, runtime.NumGoroutine())
						runtime.Gosched()
					}
				}
			}()
			g.run(impl.Sgemm)
			close(stop)
			if top := <-most; top > before+1 {
				t.Errorf("%s %c%c %d×%d×%d: %d goroutines", name, g.tA, g.tB, g.m, g.n, g.k, top-before-1)
			}
		}
	}
}

// TestKernelsHaveNames: every set that this machine can run says what it is.
func TestKernelsHaveNames(t *testing.T) {
	if bl := Implementation(); bl.Kernels() == "" || bl.single != nil && bl.Kernels() == "portable Go" {
		t.Errorf("the kernels are called %q", bl.Kernels())
	}
	if got := (BLAS{}).Kernels(); got != "portable Go" {
		t.Errorf("gonum's implementation is called %q", got)
	}
}
