//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"runtime"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// TestGraphsAreDestroyedWithTheirLaunches records graphs, which take memory of the
// card, and forgets them: the graphs that follow take no more.
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
		runtime.GC()
		time.Sleep(100 * time.Millisecond) // cleanups have a goroutine of their own
		runtime.GC()
	}
	before := free()
	held := record(50)
	taken := before - free()
	if taken <= 0 {
		t.Skip("graphs take no memory of the card that could be seen")
	}
	runtime.KeepAlive(held)
	for range 8 { // the driver keeps the memory, for the graphs that follow
		held = record(50)
		collect()
	}
	if all := before - free(); all > 3*taken {
		t.Errorf("50 graphs took %d bytes; 8 times as many, of which 50 are in use, take %d", taken, all)
	}
}
