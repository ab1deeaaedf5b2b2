package osthread

import (
	"sync"
	"testing"

	"github.com/pkg/errors"
)

func TestCallsAreMadeOneAfterTheOther(t *testing.T) {
	th := New()
	calls := 0 // not protected: the thread does that
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if err := th.Do(func() error { calls++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if calls != 800 {
		t.Errorf("%d calls, want 800", calls)
	}
	failed := errors.New("failed")
	if err := th.Do(func() error { return failed }); err != failed {
		t.Errorf("the error is %v", err)
	}
	th.Close()
	th.Close()
	if err := th.Do(func() error { return nil }); err != ErrClosed {
		t.Errorf("the error after Close is %v", err)
	}
}
