//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// TestChains: outputs and memories are one launch where the kernel takes the widths, there
// is more than one chunk, and most of an H100's processors have a block to the end.
func TestChains(t *testing.T) {
	for _, c := range []struct {
		b, t, nh, dqk, dhv int
		chain              bool
	}{
		{8, 8192, 8, 256, 512, true}, {4, 8192, 8, 256, 512, true}, {5, 8192, 8, 256, 512, false}, {1, 8192, 8, 256, 512, false},
		{8, 256, 8, 256, 512, false}, {8, 257, 8, 256, 512, true}, {8, 8192, 8, 128, 512, false}, {8, 8192, 8, 256, 192, false},
	} {
		op := ops.MLSTM{B: c.b, T: c.t, NH: c.nh, DQK: c.dqk, DHV: c.dhv}
		for p, want := range map[Precision]bool{BF16: c.chain, TF32: false} {
			b := &binder{d: ForPlans(p), dt: ops.Float32, counting: true}
			if got := b.sizedScan(op).chain(); got != want {
				t.Errorf("%+v in %v: %v", c, p, got)
			}
		}
	}
}
