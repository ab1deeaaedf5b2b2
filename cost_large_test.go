package xlstm

import (
	"math"
	"testing"
)

// TestCellProductsOfUnequalWidths compares with sums made by hand, for one head
// with keys of width 8 and values of width 16.
func TestCellProductsOfUnequalWidths(t *testing.T) {
	cfg := DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.Large.NumHeads = 1, 16, 1, 1
	const square = 8 * 16
	for _, c := range []struct {
		steps, chunk      int
		forward, backward float64
	}{
		{1, 0, 8 + 16 + 2*square, 3*8 + 2*16 + 4*square},
		{64, 0, 64*(8+16) + 2*square, 64*(3*8+2*16) + 4*square},
		{6, 4, ((16+4)*(8+16) + 6*2*square) / 6.0, ((16+4)*(3*8+2*16) + 6*4*square + 4*square) / 6.0},
	} {
		p := cellOf(t, costOf(t, cfg, CostOptions{Batch: 3, Steps: c.steps, Chunk: c.chunk}))
		if math.Abs(p.Forward-c.forward) > 1e-9 || math.Abs(p.Backward-c.backward) > 1e-9 || p.Decode != 8+16+2*square || p.State != square+8+1 {
			t.Errorf("%d steps in chunks of %d: %v forward, %v backward, %v alone and a state of %d, want %v and %v", c.steps, c.chunk, p.Forward, p.Backward, p.Decode, p.State, c.forward, c.backward)
		}
	}
}

// TestActivationsMayFitIntoTheGradients: a sequence of the 7B model needs no memory
// beside them, and no less than none.
func TestActivationsMayFitIntoTheGradients(t *testing.T) {
	cfg := DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.Large.NumHeads = 50304, 4096, 32, 8
	cost, err := cfg.Cost(CostOptions{Batch: 1, Steps: 2048, Shards: 8})
	if err != nil {
		t.Fatal(err)
	}
	m := cost.TrainingMemory()
	if m.Activations < 0 || m.Activations > m.Params/100 || m.Moments != m.Params/4+4 && m.Moments != m.Params/4 {
		t.Errorf("%+v", m)
	}
}
