package main

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/pkg/errors"
)

// modelFlag is a flag for a part of the model's configuration.
type modelFlag struct {
	name, usage string
	set         func(cfg *xlstm.Config, value string) error
	boolean     bool
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
		{name: "dim", usage: "width of the model (embedding_dim)", set: integer(func(cfg *xlstm.Config, n int) { cfg.EmbeddingDim = n })},
		{name: "blocks", usage: "number of blocks (num_blocks)", set: integer(func(cfg *xlstm.Config, n int) { cfg.NumBlocks = n })},
		{name: "slstm-at", usage: "which blocks are sLSTM blocks: indices with commas, all, or none (slstm_at)", set: blocks(func(cfg *xlstm.Config) *xlstm.BlockList { return &cfg.SLSTMAt })},
		{name: "lstm-at", usage: "which blocks are classic LSTM blocks, likewise (lstm_at)", set: blocks(func(cfg *xlstm.Config) *xlstm.BlockList { return &cfg.LSTMAt })},
		{name: "simplified-at", usage: "which blocks have the simplified cell of articles, likewise (simplified_at)", set: blocks(func(cfg *xlstm.Config) *xlstm.BlockList { return &cfg.SimplifiedAt })},
		{name: "lstm", usage: "a plain LSTM in place of the xLSTM blocks: units of each of the -blocks layers (lstm.hidden_size)", set: integer(func(cfg *xlstm.Config, n int) {
			*cfg = xlstm.Config{
				VocabSize: cfg.VocabSize, EmbeddingDim: cfg.EmbeddingDim, NumBlocks: cfg.NumBlocks, ContextLength: cfg.ContextLength,
				Dropout: cfg.Dropout, AddEmbeddingDropout: cfg.AddEmbeddingDropout, TieWeights: cfg.TieWeights, LSTM: &xlstm.LSTMConfig{HiddenSize: n},
			}
		})},
		{name: "heads", usage: "number of heads of all layers (num_heads)", set: integer(func(cfg *xlstm.Config, n int) {
			mlstm(func(l *xlstm.MLSTMLayerConfig) { l.NumHeads = n })(cfg)
			slstm(func(b *xlstm.SLSTMBlockConfig) { b.SLSTM.NumHeads = n })(cfg)
			large(func(l *xlstm.LargeConfig) { l.NumHeads = n })(cfg)
		})},
		{name: "conv", usage: "steps that the convolutions see (conv1d_kernel_size); 0, for sLSTM blocks alone, for none", set: integer(func(cfg *xlstm.Config, n int) {
			mlstm(func(l *xlstm.MLSTMLayerConfig) { l.Conv1dKernelSize = n })(cfg)
			slstm(func(b *xlstm.SLSTMBlockConfig) { b.SLSTM.Conv1dKernelSize = n })(cfg)
		})},
		{name: "proj-factor", usage: "inner width of mLSTM layers as a multiple of the model's (proj_factor)", set: decimal(func(cfg *xlstm.Config, x float64) {
			mlstm(func(l *xlstm.MLSTMLayerConfig) { l.ProjFactor = x })(cfg)
		})},
		{name: "ffn-factor", usage: "inner width of feed-forward layers as a multiple of the model's (proj_factor, ffn_proj_factor)", set: decimal(func(cfg *xlstm.Config, x float64) {
			large(func(l *xlstm.LargeConfig) { l.FFNProjFactor = x })(cfg)
			slstm(func(b *xlstm.SLSTMBlockConfig) {
				if b.FeedForward != nil {
					b.FeedForward.ProjFactor = x
				}
			})(cfg)
		})},
		{name: "dropout", usage: "share of the blocks' outputs that is dropped in training (dropout)", set: decimal(func(cfg *xlstm.Config, x float64) { cfg.Dropout = x })},
		{name: "embedding-dropout", usage: "drop embedded tokens too (add_embedding_dropout)", set: boolean(func(cfg *xlstm.Config, b bool) { cfg.AddEmbeddingDropout = b }), boolean: true},
		{name: "bias", usage: "biases in mLSTM projections (bias)", set: boolean(func(cfg *xlstm.Config, b bool) { cfg.Bias = b }), boolean: true},
		{name: "tie", usage: "use the embedding as the head (tie_weights)", set: boolean(func(cfg *xlstm.Config, b bool) { cfg.TieWeights = b }), boolean: true},
	}
}

// blocks sets a list of blocks. A block is in one list: the last flag that names it
// takes it out of the others.
func blocks(list func(cfg *xlstm.Config) *xlstm.BlockList) func(cfg *xlstm.Config, value string) error {
	return func(cfg *xlstm.Config, value string) error {
		given, err := parseBlocks(value)
		if err != nil {
			return err
		}
		for _, other := range []*xlstm.BlockList{&cfg.SLSTMAt, &cfg.LSTMAt, &cfg.SimplifiedAt} {
			if given.All {
				*other = xlstm.Blocks()
			}
			other.Indices = slices.DeleteFunc(slices.Clone(other.Indices), func(i int) bool { return slices.Contains(given.Indices, i) })
		}
		*list(cfg) = given
		return nil
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

// add adds the flag, with what is to be done with a value.
func (m modelFlag) add(f *flag.FlagSet, set func(value string) error) {
	if m.boolean {
		f.BoolFunc(m.name, m.usage, set)
		return
	}
	f.Func(m.name, m.usage, set)
}

// modelDefaults returns what the flags change, by their names.
func modelDefaults(cfg xlstm.Config) map[string]any {
	all := map[string]any{"dim": cfg.EmbeddingDim, "blocks": cfg.NumBlocks, "slstm-at": blockNames(cfg.SLSTMAt), "dropout": cfg.Dropout}
	if b := cfg.SLSTMBlock; b != nil {
		all["heads"], all["conv"] = b.SLSTM.NumHeads, b.SLSTM.Conv1dKernelSize
		if b.FeedForward != nil {
			all["ffn-factor"] = b.FeedForward.ProjFactor
		}
	}
	if b := cfg.MLSTMBlock; b != nil {
		all["heads"], all["conv"], all["proj-factor"] = b.MLSTM.NumHeads, b.MLSTM.Conv1dKernelSize, b.MLSTM.ProjFactor
	}
	if l := cfg.Large; l != nil {
		all["heads"], all["ffn-factor"] = l.NumHeads, l.FFNProjFactor
	}
	return all
}

// register adds the flags. They set the configuration that cfg points to when
// the flags are parsed.
func (ms modelFlags) register(f *flag.FlagSet, cfg *xlstm.Config) {
	defaults := modelDefaults(*cfg)
	for _, m := range ms {
		if d, known := defaults[m.name]; known {
			m.usage += fmt.Sprintf(" (default %v)", d)
		}
		m.add(f, func(v string) error { return m.set(cfg, v) })
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
