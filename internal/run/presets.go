package run

import (
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/pkg/errors"
)

// Preset is a model and the settings that train it well on two cores.
type Preset struct {
	Name, About          string
	Tokens               string // chars or bpe
	Width, Blocks        int
	SLSTMAt              []int // all others are mLSTM blocks
	Dropout              float64
	Batch, Length, Steps int
	LR                   float64 // at its peak
	Warmup               int     // steps
}

// Presets returns the presets, smallest first. Larger models need smaller
// learning rates. The numbers of parameters are for a vocabulary of 65, that of
// tiny Shakespeare, or of 1024 with subwords.
func Presets() []Preset {
	return []Preset{
		{
			Name: "tiny", Tokens: tokensChars, About: "width 64, 2 blocks, 72,072 parameters, a minute",
			Width: 64, Blocks: 2, SLSTMAt: []int{1},
			Batch: 8, Length: 128, Steps: 400, LR: 8e-3, Warmup: 40,
		},
		{
			Name: "small", Tokens: tokensChars, About: "width 128, 4 blocks, 453,144 parameters, some minutes",
			Width: 128, Blocks: 4, SLSTMAt: []int{1},
			Batch: 8, Length: 128, Steps: 1000, LR: 4e-3, Warmup: 40,
		},
		{
			Name: "base", Tokens: tokensChars, About: "width 256, 6 blocks, 2,540,072 parameters, an hour or two",
			Width: 256, Blocks: 6, SLSTMAt: []int{1},
			Batch: 8, Length: 256, Steps: 1200, LR: 2e-3, Warmup: 100,
		},
		{
			Name: "medium", Tokens: tokensChars, About: "width 384, 8 blocks, 7,337,904 parameters, a night",
			Width: 384, Blocks: 8, SLSTMAt: []int{1, 5}, Dropout: 0.1,
			Batch: 8, Length: 256, Steps: 3000, LR: 1e-3, Warmup: 100,
		},
		{
			Name: "bpe", Tokens: tokensBPE, About: "subwords, width 128, 4 blocks, 698,648 parameters with 1024 tokens, some minutes",
			Width: 128, Blocks: 4, SLSTMAt: []int{1},
			Batch: 8, Length: 128, Steps: 1000, LR: 4e-3, Warmup: 40,
		},
	}
}

// PresetNamed returns the preset of that name.
func PresetNamed(name string) (Preset, error) {
	var names []string
	for _, p := range Presets() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Preset{}, errors.Errorf("there is no preset %q; there are %s", name, strings.Join(names, ", "))
}

// Config returns the model's configuration for a vocabulary of the given size.
func (p Preset) Config(vocab int) xlstm.Config {
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.ContextLength = vocab, p.Width, p.Blocks, p.Length
	cfg.SLSTMAt, cfg.Dropout = xlstm.Blocks(p.SLSTMAt...), p.Dropout
	return cfg
}
