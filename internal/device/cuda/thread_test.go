//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/errors"
)

// TestThreadCallsInOrder: functions sent from one goroutine are called in order, and
// none is called after close.
func TestThreadCallsInOrder(t *testing.T) {
	entered := 0
	th := &thread{enter: func() error {
		entered++
		return nil
	}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			last := -1
			for i := range 100 {
				if err := th.do(func() error {
					if i != last+1 {
						return errors.Errorf("call %d after %d", i, last)
					}
					last = i
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	if entered != 800 {
		t.Errorf("the context was entered %d times for 800 calls", entered)
	}
	th.close()
	th.close()
	if err := th.do(func() error { return nil }); err != errClosed {
		t.Errorf("after close: %v", err)
	}
}

// TestOthersWaitWhileAGraphIsRecorded: what the recording goroutine enqueues belongs to
// the graph; what another one enqueues at that time does not, and comes after it.
func TestOthersWaitWhileAGraphIsRecorded(t *testing.T) {
	d := &Device{thread: &thread{}}
	var order []string
	record := func(what string) func() error {
		return func() error {
			order = append(order, what)
			return nil
		}
	}
	var other sync.WaitGroup
	err := d.recordingWhile(func() error {
		began := make(chan bool)
		other.Go(func() {
			close(began)
			if err := d.enqueued(record("another's")); err != nil {
				t.Error(err)
			}
		})
		<-began
		for range 1000 {
			runtime.Gosched() // the other one would be done by now
		}
		return d.enqueued(record("the graph's"))
	})
	if other.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"the graph's", "another's"}; !slices.Equal(order, want) {
		t.Errorf("%q were enqueued, want %q", order, want)
	}
}

// TestOpenSaysWhatIsMissing: if no card can be opened, the error says what was sought
// and where.
func TestOpenSaysWhatIsMissing(t *testing.T) {
	d, err := Open(0, Float32)
	if err == nil {
		if _, err = Open(1000, Float32); err == nil || !strings.Contains(err.Error(), "numbered from 0") {
			t.Errorf("card 1000: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		return
	}
	for _, part := range []string{"card 0", "needed"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want it to say %q", err, part)
		}
	}
}
