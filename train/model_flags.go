package main

import (
	"flag"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/pkg/errors"
)

// modelFlag is a flag for a part of the model's configuration.
type modelFlag struct {
	name, usage string
	set         func(cfg *xlstm.Config, value string) error
}

// modelFlags are the settings of the model. Each changes what a preset or a file
// says; what they leave alone is in a -model file.
type modelFlags []modelFlag

func newModelFlags() modelFlags {
	mlstm := func(set func(l *xlstm.MLSTMLayerConfig)) func(cfg *xlstm.Config) {
		return func(cfg *xlstm.Config) {
			if cfg.MLSTMBlock != nil {
				set(&cfg.MLSTMBlock.MLSTM)
			}
		}
	}
	slstm := func(set func(l *xlstm.SLSTMBlockConfig)) func(cfg *xlstm.Config) {
		return func(cfg *xlstm.Config) {
			if cfg.SLSTMBlock != nil {
				set(cfg.SLSTMBlock)
			}
		}
	}
	large := func(set func(l *xlstm.LargeConfig)) func(cfg *xlstm.Config) {
		return func(cfg *xlstm.Config) {
			if cfg.Large != nil {
				set(cfg.Large)
			}
		}
	}
	return modelFlags{
		{"dim", "width of the model (embedding_dim)", integer(func(cfg *xlstm.Config, n int) { cfg.EmbeddingDim = n })},
		{"blocks", "number of blocks (num_blocks)", integer(func(cfg *xlstm.Config, n int) { cfg.NumBlocks = n })},
		{"slstm-at", "which blocks are sLSTM blocks: indices with commas, all, or none (slstm_at)", func(cfg *xlstm.Config, v string) (err error) {
			cfg.SLSTMAt, err = parseBlocks(v)
			return err
		}},
		{"heads", "number of heads of all layers (num_heads)", integer(func(cfg *xlstm.Config, n int) {
			mlstm(func(l *xlstm.MLSTMLayerConfig) { l.NumHeads = n })(cfg)
			slstm(func(b *xlstm.SLSTMBlockConfig) { b.SLSTM.NumHeads = n })(cfg)
			large(func(l *xlstm.LargeConfig) { l.NumHeads = n })(cfg)
		})},
		{"conv", "steps that the convolutions see (conv1d_kernel_size); 0, for sLSTM blocks alone, for none", integer(func(cfg *xlstm.Config, n int) {
			mlstm(func(l *xlstm.MLSTMLayerConfig) { l.Conv1dKernelSize = n })(cfg)
			slstm(func(b *xlstm.SLSTMBlockConfig) { b.SLSTM.Conv1dKernelSize = n })(cfg)
		})},
		{"proj-factor", "inner width of mLSTM layers as a multiple of the model's (proj_factor)", decimal(func(cfg *xlstm.Config, x float64) {
			mlstm(func(l *xlstm.MLSTMLayerConfig) { l.ProjFactor = x })(cfg)
		})},
		{"ffn-factor", "inner width of feed-forward layers as a multiple of the model's (proj_factor, ffn_proj_factor)", decimal(func(cfg *xlstm.Config, x float64) {
			large(func(l *xlstm.LargeConfig) { l.FFNProjFactor = x })(cfg)
			slstm(func(b *xlstm.SLSTMBlockConfig) {
				if b.FeedForward != nil {
					b.FeedForward.ProjFactor = x
				}
			})(cfg)
		})},
		{"dropout", "share of the blocks' outputs that is dropped in training (dropout)", decimal(func(cfg *xlstm.Config, x float64) { cfg.Dropout = x })},
		{"embedding-dropout", "true to drop embedded tokens too (add_embedding_dropout)", boolean(func(cfg *xlstm.Config, b bool) { cfg.AddEmbeddingDropout = b })},
		{"bias", "true for biases in mLSTM projections (bias)", boolean(func(cfg *xlstm.Config, b bool) { cfg.Bias = b })},
		{"tie", "true to use the embedding as the head (tie_weights)", boolean(func(cfg *xlstm.Config, b bool) { cfg.TieWeights = b })},
	}
}

func integer(set func(cfg *xlstm.Config, n int)) func(cfg *xlstm.Config, value string) error {
	return func(cfg *xlstm.Config, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil {
			return errors.New("it must be a whole number")
		}
		set(cfg, n)
		return nil
	}
}

func decimal(set func(cfg *xlstm.Config, x float64)) func(cfg *xlstm.Config, value string) error {
	return func(cfg *xlstm.Config, value string) error {
		x, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return errors.New("it must be a number")
		}
		set(cfg, x)
		return nil
	}
}

func boolean(set func(cfg *xlstm.Config, b bool)) func(cfg *xlstm.Config, value string) error {
	return func(cfg *xlstm.Config, value string) error {
		b, err := strconv.ParseBool(value)
		if err != nil {
			return errors.New("it must be true or false")
		}
		set(cfg, b)
		return nil
	}
}

// register adds the flags. They set the configuration that cfg points to when
// the flags are parsed.
func (ms modelFlags) register(f *flag.FlagSet, cfg *xlstm.Config) {
	for _, m := range ms {
		f.Func(m.name, m.usage, func(v string) error { return m.set(cfg, v) })
	}
}

// blockNames is the inverse of parseBlocks.
func blockNames(b xlstm.BlockList) string {
	if b.All {
		return "all"
	}
	if len(b.Indices) == 0 {
		return "none"
	}
	names := make([]string, len(b.Indices))
	for i, n := range b.Indices {
		names[i] = strconv.Itoa(n)
	}
	return strings.Join(names, ",")
}

func parseBlocks(s string) (xlstm.BlockList, error) {
	switch s {
	case "all":
		return xlstm.AllBlocks(), nil
	case "none", "":
		return xlstm.Blocks(), nil
	}
	var b xlstm.BlockList
	for _, part := range strings.Split(s, ",") {
		i, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return b, errors.New("it must be block indices with commas, all, or none")
		}
		b.Indices = append(b.Indices, i)
	}
	return b, nil
}
