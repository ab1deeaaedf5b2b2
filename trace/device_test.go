package trace

import (
	"math"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"gorgonia.org/tensor"
)

// TestTracesOnADevice: the trace of a model on a device is that of the model on the
// CPU.
func TestTracesOnADevice(t *testing.T) {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = 11, 16, 2, xlstm.Blocks(1)
	tokens := []int{3, 1, 4, 1, 5, 9, 2, 6, 5, 3}
	var traces [2]*Trace
	for i, device := range []xlstm.Device{nil, cpu.Device{}} {
		m, err := xlstm.New(cfg, xlstm.WithDtype(tensor.Float64), xlstm.WithDevice(device))
		if err != nil {
			t.Fatal(err)
		}
		if traces[i], err = Of(m, tokens, Config{To: len(tokens)}); err != nil {
			t.Fatal(err)
		}
	}
	for k, s := range traces[0].Surprise {
		if d := math.Abs(traces[1].Surprise[k] - s); !(d < 1e-12) {
			t.Errorf("the surprise of token %d is %v away", k, d)
		}
	}
	for b := range traces[0].Blocks {
		if d := traces[1].Blocks[b].Deviation; d > 1e-9 {
			t.Errorf("block %d: the device's cell is %v away from the equations", b, d)
		}
	}
}
