//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"runtime"
	"testing"
	"time"

	"github.com/ebitengine/purego"
	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// TestForgottenGraphsAreDestroyed counts the calls that destroy graphs whose launches
// nothing refers to any more, and none before.
func TestForgottenGraphsAreDestroyed(t *testing.T) {
	destroyed := make(chan uintptr, 100)
	d := &Device{thread: &thread{}, drv: &driver{}}
	d.drv.GraphExecDestroy = purego.NewCallback(func(exec uintptr) uintptr {
		destroyed <- exec
		return 0
	})
	var held []device.Launch
	for k := range 50 {
		g := &graph{d: d, exec: uintptr(k + 1)}
		g.release()
		held = append(held, d.launch([]task{{enqueue: g.enqueue}}))
	}
	runtime.GC()
	time.Sleep(10 * time.Millisecond)
	if n := len(destroyed); n > 0 {
		t.Errorf("%d graphs were destroyed that may still run", n)
	}
	runtime.KeepAlive(held)
	held = nil
	seen := make(map[uintptr]bool)
	for deadline := time.After(10 * time.Second); len(seen) < 50; {
		runtime.GC()
		select {
		case exec := <-destroyed:
			seen[exec] = true
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatalf("%d of 50 graphs were destroyed", len(seen))
		}
	}
}

// TestGraphsAreDestroyedWithTheirLaunches records graphs, which take memory of the
// card, and forgets them: the graphs that follow take no more. The driver tells the
// card's free memory only, not a process's, so nothing else may run on the card.
func TestGraphsAreDestroyedWithTheirLaunches(t *testing.T) {
	d := opened(t, Float32)
	op := ops.Add{Shape: ops.Shape{1000}}
	var bs []device.Buffer
	for range 3 {
		b, err := d.Alloc(ops.Float32, 1000)
		if err != nil {
			t.Fatal(err)
		}
		bs = append(bs, b)
	}
	launch, err := d.Bind(op, bs[2:], bs[:2], nil)
	if err != nil {
		t.Fatal(err)
	}
	long := make([]device.Launch, 200)
	for k := range long {
		long[k] = launch
	}
	record := func(n int) (all []device.Launch) {
		for range n {
			l, err := d.Record(long)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		return all
	}
	free := func() (free int64) {
		t.Helper()
		if err := d.thread.do(func() (err error) {
			if err = d.synchronize(); err == nil {
				free, _, err = d.memory()
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return free
	}
	collect := func() {
		for range 20 { // the cleanups run beside this, and the driver takes its time
			runtime.GC()
			time.Sleep(50 * time.Millisecond)
		}
	}
	before := free()
	held := record(50)
	taken := before - free()
	if taken <= 0 {
		t.Skip("graphs take no memory of the card that could be seen")
	}
	runtime.KeepAlive(held)
	for range 4 { // the driver keeps the memory, for the graphs that follow
		held = record(50)
		collect()
	}
	runtime.KeepAlive(held)
	if all := before - free(); all > 3*taken {
		t.Errorf("50 graphs took %d bytes; 4 times as many, of which 50 are in use, take %d", taken, all)
	}
}
