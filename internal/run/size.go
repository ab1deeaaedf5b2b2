package run

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
)

// Size says how many blocks, or layers, of which width a model has.
func Size(cfg xlstm.Config) string {
	if cfg.LSTM != nil {
		return fmt.Sprintf("%s of %s units", numbers.Count(cfg.NumBlocks, "layer"), numbers.Commas(cfg.LSTM.HiddenSize))
	}
	return fmt.Sprintf("%s of width %s", numbers.Count(cfg.NumBlocks, "block"), numbers.Commas(cfg.EmbeddingDim))
}
