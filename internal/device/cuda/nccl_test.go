//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestJoiningEndsWithoutTheOtherRanks: a rank that cannot be reached.
func TestJoiningEndsWithoutTheOtherRanks(t *testing.T) {
	d := opened(t, Float32)
	id, err := d.NewJob()
	if err != nil {
		t.Skip(err) // there is no NCCL
	}
	start := time.Now()
	err = d.joinWithin(2*time.Second, id, 0, 2)
	testutil.WantError(t, err, "rank 0 of 2", "NCCL cannot reach")
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
