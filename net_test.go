package xlstm

import (
	"reflect"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/layers"
)

// TestDefaultsOfLayersAreThoseOfModels: a stack of the defaults of package layers
// is the stack of a model of the default configurations, at every width.
func TestDefaultsOfLayersAreThoseOfModels(t *testing.T) {
	for dim := 4; dim <= 300; dim += 4 {
		cfg := DefaultConfig()
		cfg.EmbeddingDim, cfg.NumBlocks, cfg.SLSTMAt = dim, 3, Blocks(1)
		want := cfg.blueprint().stack
		if got, err := layers.DefaultStackConfig(dim, 3, 1); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("width %d: %+v (%v)\nwant %+v", dim, got, err, want)
		}
		large := DefaultLargeConfig()
		large.EmbeddingDim, large.NumBlocks, large.Large.NumHeads = dim, 1, 2
		if got, want := layers.DefaultLargeConfig(dim, 2), large.block(0); !reflect.DeepEqual(got, want) {
			t.Errorf("width %d: %+v\nwant %+v", dim, got, want)
		}
	}
}
