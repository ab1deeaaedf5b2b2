package xlstm

import (
	"math"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/layers"
)

// Config describes a language model of the paper's architecture or, with Large,
// of xLSTM-7B's, or, with LSTM, of the classic LSTM for comparison. Fields, JSON
// names, nesting and defaults are those of the official implementation's
// xLSTMLMModelConfig and xLSTMLargeConfig, to which LSTMAt, SimplifiedAt and
// LSTM are additions. Start from DefaultConfig, DefaultLargeConfig, DefaultLSTMConfig or
// ParseConfig: Config{} has zero values, not the defaults.
type Config struct {
	// VocabSize is the number of tokens.
	VocabSize int `json:"vocab_size"`
	// EmbeddingDim is the width of the residual stream.
	EmbeddingDim int `json:"embedding_dim"`
	// NumBlocks is the number of residual blocks, or with LSTM of layers.
	NumBlocks int `json:"num_blocks"`
	// ContextLength is the default length of sequences in training. It is not a
	// limit: a model can run any length.
	ContextLength int `json:"context_length"`
	// SLSTMAt lists the sLSTM blocks; those in no list are mLSTM blocks.
	SLSTMAt BlockList `json:"slstm_at"`
	// LSTMAt lists the blocks with a classic LSTM cell: the sLSTM's block
	// (SLSTMBlock) with its norm, residual connection and feed-forward layer
	// around a layer as in PyTorch's nn.LSTM. The official implementation has
	// no such blocks.
	LSTMAt BlockList `json:"lstm_at,omitzero"`
	// SimplifiedAt lists the blocks with the simplified cell that articles
	// present as xLSTM, for comparison, likewise; see layers.Simplified.
	SimplifiedAt BlockList `json:"simplified_at,omitzero"`
	// AddPostBlocksNorm adds a norm between the blocks and the head.
	AddPostBlocksNorm bool `json:"add_post_blocks_norm"`
	// AddEmbeddingDropout applies Dropout to the embedded tokens too.
	AddEmbeddingDropout bool `json:"add_embedding_dropout"`
	// Bias gives the mLSTM layers' projections a bias.
	Bias bool `json:"bias"`
	// Dropout is the probability with which a block's outputs are dropped in
	// training.
	Dropout float64 `json:"dropout"`
	// TieWeights uses the embedding as the head.
	TieWeights bool `json:"tie_weights"`
	// WeightDecayOnEmbedding applies weight decay to the embedding too.
	WeightDecayOnEmbedding bool `json:"weight_decay_on_embedding"`
	// MLSTMBlock describes the mLSTM blocks. Without it all blocks are sLSTM.
	MLSTMBlock *MLSTMBlockConfig `json:"mlstm_block"`
	// SLSTMBlock describes the sLSTM blocks, and the feed-forward layer of the
	// blocks in LSTMAt and SimplifiedAt.
	SLSTMBlock *SLSTMBlockConfig `json:"slstm_block"`
	// Large describes the xLSTM-7B architecture; nil means the paper's. With
	// Large, only VocabSize, EmbeddingDim, NumBlocks, ContextLength and
	// WeightDecayOnEmbedding (which its JSON does not contain) and, in Hugging
	// Face's form, TieWeights apply; the other fields must be zero.
	Large *LargeConfig `json:"-"`
	// LSTM describes a plain LSTM, without residual blocks; nil means that the
	// model is none. With LSTM, only VocabSize, EmbeddingDim, NumBlocks,
	// ContextLength, Dropout, AddEmbeddingDropout, TieWeights and
	// WeightDecayOnEmbedding apply; the other fields must be zero.
	LSTM *LSTMConfig `json:"-"`
}

// MLSTMBlockConfig describes an mLSTM block: norm, layer and residual
// connection.
type MLSTMBlockConfig struct {
	MLSTM MLSTMLayerConfig `json:"mlstm"`
}

// MLSTMLayerConfig describes an mLSTM layer.
type MLSTMLayerConfig struct {
	// Conv1dKernelSize is the number of steps the convolution sees, at least 1.
	Conv1dKernelSize int `json:"conv1d_kernel_size"`
	// QKVProjBlocksize is the width of the blocks of the q, k and v projections.
	QKVProjBlocksize int `json:"qkv_proj_blocksize"`
	// NumHeads is the number of memory cells; it divides the inner width.
	NumHeads int `json:"num_heads"`
	UpProjection
}

// SLSTMBlockConfig describes an sLSTM block: norm, layer and residual
// connection and, unless FeedForward is nil, norm, feed-forward layer and
// residual connection.
type SLSTMBlockConfig struct {
	SLSTM       SLSTMLayerConfig   `json:"slstm"`
	FeedForward *FeedForwardConfig `json:"feedforward"`
}

// SLSTMLayerConfig describes an sLSTM layer.
type SLSTMLayerConfig struct {
	// NumHeads is the number of heads of the recurrence; it divides
	// EmbeddingDim.
	NumHeads int `json:"num_heads"`
	// Conv1dKernelSize is the number of steps the convolution sees; 0 for none.
	Conv1dKernelSize int `json:"conv1d_kernel_size"`
	// GroupNormWeight gives the norm after the cell a weight.
	GroupNormWeight bool `json:"group_norm_weight"`
	// BiasInit is powerlaw_blockdependent, small_init, zeros or standard.
	BiasInit string `json:"bias_init"`
	// RecurrentWeightInit is zeros or standard.
	RecurrentWeightInit string `json:"recurrent_weight_init"`
	// GradientRecurrentCut stops gradients through the recurrence.
	GradientRecurrentCut bool `json:"gradient_recurrent_cut"`
	// GradientRecurrentClipval bounds the gradient through the recurrence; nil
	// means no bound.
	GradientRecurrentClipval *float64 `json:"gradient_recurrent_clipval"`
	// backend is the one that MarshalJSON names, "" for vanilla.
	backend string
}

// FeedForwardConfig describes a gated feed-forward layer.
type FeedForwardConfig struct {
	// ActFn is the gate's activation: gelu, relu, relu^2, sigmoid, swish or selu.
	ActFn string `json:"act_fn"`
	// Bias gives both projections a bias.
	Bias bool `json:"bias"`
	UpProjection
}

// UpProjection is the inner width of a layer: ProjFactor·EmbeddingDim, rounded
// to a multiple.
type UpProjection struct {
	ProjFactor              float64 `json:"proj_factor"`
	RoundProjUpDimUp        bool    `json:"round_proj_up_dim_up"` // else down
	RoundProjUpToMultipleOf int     `json:"round_proj_up_to_multiple_of"`
}

// dim returns the width for a model of width d.
func (u UpProjection) dim(d int) int {
	m := u.ProjFactor * float64(d) / float64(u.RoundProjUpToMultipleOf)
	if u.RoundProjUpDimUp {
		return int(math.Ceil(m)) * u.RoundProjUpToMultipleOf
	}
	return int(math.Floor(m)) * u.RoundProjUpToMultipleOf
}

// BlockList is a list of block indices, or all blocks ("all" in JSON).
type BlockList struct {
	All     bool
	Indices []int
}

// Blocks lists block indices, counted from 0.
func Blocks(indices ...int) BlockList { return BlockList{Indices: indices} }

// AllBlocks stands for every block.
func AllBlocks() BlockList { return BlockList{All: true} }

// DefaultConfig returns the official defaults: width 128, one mLSTM block, and
// the description of sLSTM blocks in case SLSTMAt is set. VocabSize has no
// default.
func DefaultConfig() Config {
	return Config{
		EmbeddingDim:      128,
		NumBlocks:         1,
		AddPostBlocksNorm: true,
		MLSTMBlock:        &MLSTMBlockConfig{MLSTM: defaultMLSTM()},
		SLSTMBlock:        &SLSTMBlockConfig{SLSTM: defaultSLSTM(), FeedForward: defaultFeedForward()},
	}
}

func defaultMLSTM() MLSTMLayerConfig {
	return MLSTMLayerConfig{
		Conv1dKernelSize: 4, QKVProjBlocksize: 4, NumHeads: 4,
		UpProjection: UpProjection{ProjFactor: 2, RoundProjUpDimUp: true, RoundProjUpToMultipleOf: 64},
	}
}

func defaultSLSTM() SLSTMLayerConfig {
	return SLSTMLayerConfig{
		NumHeads: 4, Conv1dKernelSize: 4, GroupNormWeight: true,
		BiasInit: layers.PowerlawBlockdependent, RecurrentWeightInit: layers.ZerosInit,
	}
}

func defaultFeedForward() *FeedForwardConfig {
	return &FeedForwardConfig{
		ActFn:        "gelu",
		UpProjection: UpProjection{ProjFactor: 1.3, RoundProjUpDimUp: true, RoundProjUpToMultipleOf: 64},
	}
}

// has reports whether a list has block i.
func (b BlockList) has(i int) bool { return b.All || slices.Contains(b.Indices, i) }

// IsZero reports whether the list is empty.
func (b BlockList) IsZero() bool { return !b.All && len(b.Indices) == 0 }

// cell is the cell of a block of the paper's architecture.
type cell int

const (
	mlstmCell cell = iota
	slstmCell
	lstmCell
	simplifiedCell
)

// blockLists returns the lists of blocks by their cells, with their names in JSON.
func (c *Config) blockLists() []blockList {
	return []blockList{{slstmCell, "slstm_at", &c.SLSTMAt}, {lstmCell, "lstm_at", &c.LSTMAt}, {simplifiedCell, "simplified_at", &c.SimplifiedAt}}
}

type blockList struct {
	cell cell
	name string
	list *BlockList
}

// blocks returns the blocks in the list, of n.
func (l blockList) blocks(n int) []int {
	if !l.list.All {
		return l.list.Indices
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// cells returns the cell of every block of the paper's architecture.
func (c Config) cells() []cell {
	all := make([]cell, c.NumBlocks)
	for _, l := range c.blockLists() {
		for _, i := range l.blocks(c.NumBlocks) {
			all[i] = l.cell
		}
	}
	return all
}

// cellOf returns the cell of block i of the paper's architecture.
func (c Config) cellOf(i int) cell {
	for _, l := range c.blockLists() {
		if l.list.has(i) {
			return l.cell
		}
	}
	return mlstmCell
}

// withCells returns the configuration with blocks of these cells, in that order.
func (c Config) withCells(cells []cell) Config {
	c.NumBlocks = len(cells)
	for _, l := range c.blockLists() {
		*l.list = BlockList{}
		for i, cell := range cells {
			if cell == l.cell {
				l.list.Indices = append(l.list.Indices, i)
			}
		}
	}
	return c
}

// mlstm returns the configuration of an mLSTM layer in layers' terms.
func (c Config) mlstm() layers.MLSTMConfig {
	l := c.MLSTMBlock.MLSTM
	return layers.MLSTMConfig{
		EmbeddingDim: c.EmbeddingDim, InnerDim: l.dim(c.EmbeddingDim), NumHeads: l.NumHeads,
		ConvKernel: l.Conv1dKernelSize, QKVBlock: l.QKVProjBlocksize,
		Bias: c.Bias, Dropout: c.Dropout, NumBlocks: c.NumBlocks,
	}
}

// slstm returns the configuration of the sLSTM layer of block i.
func (c Config) slstm(i int) layers.SLSTMConfig {
	l := c.SLSTMBlock.SLSTM
	cfg := layers.SLSTMConfig{
		EmbeddingDim: c.EmbeddingDim, NumHeads: l.NumHeads, ConvKernel: l.Conv1dKernelSize,
		Dropout: c.Dropout, NormWeight: l.GroupNormWeight, BiasInit: l.BiasInit, RecurrentInit: l.RecurrentWeightInit,
		Block: i, NumBlocks: c.NumBlocks, CutGradient: l.GradientRecurrentCut,
	}
	if l.GradientRecurrentClipval != nil {
		cfg.GradientClip = *l.GradientRecurrentClipval
	}
	return cfg
}

// feedForward returns the configuration of the feed-forward layers, nil for
// none.
func (c Config) feedForward() *layers.FeedForwardConfig {
	f := c.SLSTMBlock.FeedForward
	if f == nil {
		return nil
	}
	return &layers.FeedForwardConfig{
		EmbeddingDim: c.EmbeddingDim, UpDim: f.dim(c.EmbeddingDim), Activation: f.ActFn,
		Bias: f.Bias, Dropout: c.Dropout, NumBlocks: c.NumBlocks,
	}
}
