package main

import (
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/pkg/errors"
)

// preset is a model and the settings that train it well on two cores.
type preset struct {
	name, about          string
	tokens               string // chars or bpe
	width, blocks        int
	slstmAt              []int // all others are mLSTM blocks
	dropout              float64
	batch, length, steps int
	lr                   float64 // at its peak
	warmup               int     // steps
}

// presets returns the presets, smallest first. The larger a model, the smaller
// the learning rate it bears. The numbers of parameters are those for a
// vocabulary of 65, that of tiny Shakespeare, and of 1024 for subwords.
func presets() []preset {
	return []preset{
		{
			name: "tiny", tokens: tokensChars, about: "width 64, 2 blocks, 72,072 parameters, a minute",
			width: 64, blocks: 2, slstmAt: []int{1},
			batch: 8, length: 128, steps: 400, lr: 8e-3, warmup: 40,
		},
		{
			name: "small", tokens: tokensChars, about: "width 128, 4 blocks, 453,144 parameters, some minutes",
			width: 128, blocks: 4, slstmAt: []int{1},
			batch: 8, length: 128, steps: 1000, lr: 4e-3, warmup: 40,
		},
		{
			name: "base", tokens: tokensChars, about: "width 256, 6 blocks, 2,540,072 parameters, an hour or two",
			width: 256, blocks: 6, slstmAt: []int{1},
			batch: 8, length: 256, steps: 1200, lr: 2e-3, warmup: 100,
		},
		{
			name: "medium", tokens: tokensChars, about: "width 384, 8 blocks, 7,337,904 parameters, a night",
			width: 384, blocks: 8, slstmAt: []int{1, 5}, dropout: 0.1,
			batch: 8, length: 256, steps: 3000, lr: 1e-3, warmup: 100,
		},
		{
			name: "bpe", tokens: tokensBPE, about: "subwords, width 128, 4 blocks, 698,648 parameters with 1024 tokens, some minutes",
			width: 128, blocks: 4, slstmAt: []int{1},
			batch: 8, length: 128, steps: 1000, lr: 4e-3, warmup: 40,
		},
	}
}

// presetNamed returns the preset of that name.
func presetNamed(name string) (preset, error) {
	var names []string
	for _, p := range presets() {
		if p.name == name {
			return p, nil
		}
		names = append(names, p.name)
	}
	return preset{}, errors.Errorf("there is no preset %q; there are %s", name, strings.Join(names, ", "))
}

// cfg returns the model's configuration for a vocabulary of the given size.
func (p preset) cfg(vocab int) xlstm.Config {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.ContextLength = vocab, p.width, p.blocks, p.length
	cfg.SLSTMAt, cfg.Dropout = xlstm.Blocks(p.slstmAt...), p.dropout
	return cfg
}
