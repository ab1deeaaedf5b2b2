package xlstm_test

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm"
)

// The same blocks with four different cells, and a plain LSTM of two layers. All
// are trained, saved and sampled in the same way.
func ExampleConfig_cells() {
	blocks := func(set func(cfg *xlstm.Config)) xlstm.Config {
		cfg := xlstm.DefaultConfig()
		cfg.VocabSize, cfg.NumBlocks = 65, 4
		set(&cfg)
		return cfg
	}
	plain := xlstm.DefaultLSTMConfig()
	plain.VocabSize = 65
	for _, c := range []struct {
		name string
		cfg  xlstm.Config
	}{
		{"mLSTM", blocks(func(*xlstm.Config) {})},
		{"sLSTM", blocks(func(cfg *xlstm.Config) { cfg.SLSTMAt = xlstm.AllBlocks() })},
		{"LSTM", blocks(func(cfg *xlstm.Config) { cfg.LSTMAt = xlstm.AllBlocks() })},
		{"simplified", blocks(func(cfg *xlstm.Config) { cfg.SimplifiedAt = xlstm.AllBlocks() })},
		{"plain LSTM", plain},
	} {
		model, err := xlstm.New(c.cfg)
		check(err)
		fmt.Println(c.name, model.NumParams()) // the number of parameters
	}
	// Output:
	// mLSTM 454560
	// sLSTM 448896
	// LSTM 841088
	// simplified 906624
	// plain LSTM 946625
}
