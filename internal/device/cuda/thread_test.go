//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
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
