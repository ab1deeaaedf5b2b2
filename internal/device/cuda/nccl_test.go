//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"slices"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
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

// TestExchangesOfASingleRank: called and recorded, on stretches of buffers. What
// several ranks exchange needs several cards.
func TestExchangesOfASingleRank(t *testing.T) {
	d := opened(t, Float32)
	id, err := d.NewJob()
	if err != nil {
		t.Skip(err)
	}
	if err := d.Join(id, 0, 1); err != nil {
		t.Fatal(err)
	}
	x, weight := uploaded(t, d, 1, 2, 3, 4, 5, 6, 7, 8), uploaded(t, d, 0.5)
	all, err := d.SumAll([]device.Buffer{x}, weight)
	if err != nil {
		t.Fatal(err)
	}
	parts := []device.Part{{Buffer: x.Slice(0, 3)}, {Buffer: x.Slice(4, 2)}}
	some, err := d.SumTo(parts, weight)
	if err != nil {
		t.Fatal(err)
	}
	gather, err := d.Gather(parts)
	if err != nil {
		t.Fatal(err)
	}
	launches := []device.Launch{all, some, gather}
	step, err := device.Record(d, launches)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range append(launches, step) {
		if err := l(); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]float32, 8)
	if err := d.Download(got, x); err != nil {
		t.Fatal(err)
	}
	if want := []float32{1. / 16, 2. / 16, 3. / 16, 1, 5. / 16, 6. / 16, 7. / 4, 2}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func uploaded(t *testing.T, d *Device, x ...float32) device.Buffer {
	t.Helper()
	b, err := d.Alloc(ops.Float32, len(x))
	if err == nil {
		err = d.Upload(b, x)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}
