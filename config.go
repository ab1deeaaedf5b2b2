package xlstm

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
)

// Config describes a language model of the paper's architecture. Fields, JSON
// names, nesting and defaults are those of the official implementation's
// xLSTMLMModelConfig. Begin with DefaultConfig or ParseConfig: a Config{} has
// Go's zeros, not the defaults.
type Config struct {
	// VocabSize is the number of tokens.
	VocabSize int `json:"vocab_size"`
	// EmbeddingDim is the width of the residual stream.
	EmbeddingDim int `json:"embedding_dim"`
	// NumBlocks is the number of residual blocks.
	NumBlocks int `json:"num_blocks"`
	// ContextLength is the length of sequence to train on by default. It limits
	// nothing: any length can be run.
	ContextLength int `json:"context_length"`
	// SLSTMAt says which blocks are sLSTM blocks; the others are mLSTM blocks.
	SLSTMAt BlockList `json:"slstm_at"`
	// AddPostBlocksNorm puts a norm between the blocks and the head.
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
	// WeightDecayOnEmbedding counts the embedding among the decayed parameters.
	WeightDecayOnEmbedding bool `json:"weight_decay_on_embedding"`
	// MLSTMBlock describes the mLSTM blocks. Without it all blocks are sLSTM.
	MLSTMBlock *MLSTMBlockConfig `json:"mlstm_block"`
	// SLSTMBlock describes the sLSTM blocks.
	SLSTMBlock *SLSTMBlockConfig `json:"slstm_block"`
}

// MLSTMBlockConfig describes an mLSTM block: norm, layer, residual.
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

// SLSTMBlockConfig describes an sLSTM block: norm, layer, residual, and then
// norm, feed-forward layer, residual unless FeedForward is nil.
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
	// GroupNormWeight gives the norm behind the cell a weight.
	GroupNormWeight bool `json:"group_norm_weight"`
	// BiasInit is powerlaw_blockdependent, small_init, zeros or standard.
	BiasInit string `json:"bias_init"`
	// RecurrentWeightInit is zeros or standard.
	RecurrentWeightInit string `json:"recurrent_weight_init"`
	// GradientRecurrentCut lets no gradient through the recurrence.
	GradientRecurrentCut bool `json:"gradient_recurrent_cut"`
	// GradientRecurrentClipval bounds the gradient through the recurrence, nil
	// for no bound.
	GradientRecurrentClipval *float64 `json:"gradient_recurrent_clipval"`
}

// FeedForwardConfig describes a gated feed-forward layer.
type FeedForwardConfig struct {
	// ActFn is the gate's activation: gelu, relu, relu^2, sigmoid, swish or selu.
	ActFn string `json:"act_fn"`
	// Bias gives both projections a bias.
	Bias bool `json:"bias"`
	UpProjection
}

// UpProjection is the width of a layer's inside: ProjFactor·EmbeddingDim, rounded
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

// MarshalJSON writes the list, or "all".
func (b BlockList) MarshalJSON() ([]byte, error) {
	if b.All {
		return []byte(`"all"`), nil
	}
	return json.Marshal(append([]int{}, b.Indices...))
}

// UnmarshalJSON reads a list, or "all".
func (b *BlockList) UnmarshalJSON(data []byte) error {
	*b = BlockList{}
	var all string
	if json.Unmarshal(data, &all) == nil && all == "all" {
		b.All = true
		return nil
	}
	if err := json.Unmarshal(data, &b.Indices); err != nil {
		return errors.Errorf("slstm_at is %s; it is a list of block indices or \"all\"", data)
	}
	return nil
}

// DefaultConfig returns the official defaults: width 128, one mLSTM block, and
// sLSTM blocks described for whoever sets SLSTMAt. VocabSize is left to set.
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

// ParseConfig reads a configuration in the official JSON form. Fields that are
// missing have the official defaults, and a block that is missing or null is not
// there. Fields that mean something on a GPU alone, and those whose names begin
// with an underscore, are passed over; any other unknown field is an error. The
// configuration is validated.
func ParseConfig(data []byte) (Config, error) { return parseConfig(data, 0) }

// ParseConfigFor is ParseConfig for a vocabulary of the given size, which
// replaces vocab_size.
func ParseConfigFor(data []byte, vocab int) (Config, error) { return parseConfig(data, vocab) }

func parseConfig(data []byte, vocab int) (Config, error) {
	cfg := DefaultConfig()
	cfg.MLSTMBlock, cfg.SLSTMBlock = nil, nil
	if err := json.Unmarshal(data, &cfg); err != nil {
		return Config{}, errors.Wrap(err, "reading the model configuration")
	}
	if cfg.MLSTMBlock == nil {
		cfg.SLSTMAt = AllBlocks()
	}
	if vocab > 0 {
		cfg.VocabSize = vocab
	}
	return cfg, cfg.Validate()
}

// gpuOnly are official fields that say how a GPU computes, or that the official
// code itself overwrites with the model's.
var gpuOnly = []string{
	"backend", "batch_size", "constants", "context_length", "dropout", "dtype", "dtype_a", "dtype_b", "dtype_g", "dtype_r", "dtype_s", "dtype_w",
	"embedding_dim", "enable_automatic_mixed_precision", "hidden_size", "initial_val", "input_shape", "internal_input_shape", "num_gates", "num_states", "output_shape",
}

// decode reads JSON into dst, which holds the defaults; names in skip are passed
// over, unknown ones are an error.
func decode(where string, data []byte, dst any, skip ...string) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return errors.Errorf("%s is %.40s; it is an object", where, data)
	}
	for name := range fields {
		if strings.HasPrefix(name, "_") || slices.Contains(skip, name) {
			delete(fields, name)
		}
	}
	clean, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(clean))
	d.DisallowUnknownFields()
	return errors.Wrap(d.Decode(dst), where)
}

// UnmarshalJSON reads a configuration; see ParseConfig.
func (c *Config) UnmarshalJSON(data []byte) error {
	type plain Config
	return decode("the configuration", data, (*plain)(c))
}

// UnmarshalJSON reads a block's configuration over the defaults.
func (c *MLSTMBlockConfig) UnmarshalJSON(data []byte) error {
	type plain MLSTMBlockConfig
	*c = MLSTMBlockConfig{MLSTM: defaultMLSTM()}
	return decode("mlstm_block", data, (*plain)(c))
}

// UnmarshalJSON reads a layer's configuration over the defaults.
func (c *MLSTMLayerConfig) UnmarshalJSON(data []byte) error {
	type plain MLSTMLayerConfig
	return decode("mlstm_block.mlstm", data, (*plain)(c), append(gpuOnly, "bias")...)
}

// UnmarshalJSON reads a block's configuration over the defaults; a feedforward
// that is missing or null is not there.
func (c *SLSTMBlockConfig) UnmarshalJSON(data []byte) error {
	type plain SLSTMBlockConfig
	*c = SLSTMBlockConfig{SLSTM: defaultSLSTM()}
	return decode("slstm_block", data, (*plain)(c))
}

// UnmarshalJSON reads a layer's configuration over the defaults.
func (c *SLSTMLayerConfig) UnmarshalJSON(data []byte) error {
	type plain SLSTMLayerConfig
	v := struct {
		*plain
		Function       *string  `json:"function"`
		ForwardClipval *float64 `json:"forward_clipval"`
	}{plain: (*plain)(c)}
	if err := decode("slstm_block.slstm", data, &v, gpuOnly...); err != nil {
		return err
	}
	if v.Function != nil && *v.Function != "slstm" {
		return errors.Errorf("slstm_block.slstm.function is %q; only \"slstm\" is supported", *v.Function)
	}
	if v.ForwardClipval != nil {
		return errors.Errorf("slstm_block.slstm.forward_clipval is %v; only null is supported", *v.ForwardClipval)
	}
	return nil
}

// UnmarshalJSON reads a layer's configuration over the defaults.
func (c *FeedForwardConfig) UnmarshalJSON(data []byte) error {
	type plain FeedForwardConfig
	*c = *defaultFeedForward()
	v := struct {
		*plain
		Type *string `json:"ff_type"`
	}{plain: (*plain)(c)}
	if err := decode("slstm_block.feedforward", data, &v, "dropout", "embedding_dim"); err != nil {
		return err
	}
	if v.Type != nil && *v.Type != "ffn_gated" {
		return errors.Errorf("slstm_block.feedforward.ff_type is %q; only \"ffn_gated\" is supported", *v.Type)
	}
	return nil
}

// Validate reports the first field that makes no sense, its value, and what is
// allowed.
func (c Config) Validate() error {
	check := func(ok bool, field string, value any, want string) error {
		if ok {
			return nil
		}
		return errors.Errorf("%s is %v; it must be %s", field, value, want)
	}
	for _, err := range []error{
		check(c.VocabSize >= 1, "vocab_size", c.VocabSize, "at least 1"),
		check(c.EmbeddingDim >= 1, "embedding_dim", c.EmbeddingDim, "at least 1"),
		check(c.NumBlocks >= 1, "num_blocks", c.NumBlocks, "at least 1"),
		check(c.ContextLength >= -1, "context_length", c.ContextLength, "positive, or 0 or -1 for none"),
		check(c.Dropout >= 0 && c.Dropout < 1, "dropout", c.Dropout, "at least 0 and below 1"),
	} {
		if err != nil {
			return err
		}
	}
	for _, i := range c.SLSTMAt.Indices {
		if err := check(i >= 0 && i < c.NumBlocks, "slstm_at", c.SLSTMAt.Indices, "a list of block indices below num_blocks"); err != nil {
			return err
		}
	}
	if len(c.SLSTMAt.Indices) > 0 || c.SLSTMAt.All {
		if err := c.validateSLSTM(check); err != nil {
			return err
		}
	}
	// The first block that is not in the list, if the list is not complete.
	m := 0
	for m < c.NumBlocks && c.isSLSTM(m) && !c.SLSTMAt.All {
		m++
	}
	if m == c.NumBlocks || c.SLSTMAt.All {
		return nil
	}
	return c.validateMLSTM(m, check)
}

// validateMLSTM checks the description of the mLSTM blocks, of which block i is
// one.
func (c Config) validateMLSTM(i int, check func(ok bool, field string, value any, want string) error) error {
	if c.MLSTMBlock == nil {
		return errors.Errorf("mlstm_block is null; it must describe the mLSTM blocks, since block %d is one", i)
	}
	l := c.MLSTMBlock.MLSTM
	if err := l.UpProjection.validate("mlstm_block.mlstm", c.EmbeddingDim, check); err != nil {
		return err
	}
	inner := l.dim(c.EmbeddingDim)
	return firstError(
		check(l.Conv1dKernelSize >= 1, "mlstm_block.mlstm.conv1d_kernel_size", l.Conv1dKernelSize, "at least 1"),
		check(l.NumHeads >= 1 && inner%max(1, l.NumHeads) == 0, "mlstm_block.mlstm.num_heads", l.NumHeads, "a divisor of the inner width"),
		check(l.QKVProjBlocksize >= 1 && inner%max(1, l.QKVProjBlocksize) == 0, "mlstm_block.mlstm.qkv_proj_blocksize", l.QKVProjBlocksize, "a divisor of the inner width"),
	)
}

func (c Config) validateSLSTM(check func(ok bool, field string, value any, want string) error) error {
	if c.SLSTMBlock == nil {
		return errors.New("slstm_block is null; it must describe the sLSTM blocks that slstm_at asks for")
	}
	l := c.SLSTMBlock.SLSTM
	clip := 1.0
	if l.GradientRecurrentClipval != nil {
		clip = *l.GradientRecurrentClipval
	}
	if err := firstError(
		check(l.NumHeads >= 1 && c.EmbeddingDim%max(1, l.NumHeads) == 0, "slstm_block.slstm.num_heads", l.NumHeads, "a divisor of embedding_dim"),
		check(l.Conv1dKernelSize >= 0, "slstm_block.slstm.conv1d_kernel_size", l.Conv1dKernelSize, "at least 1, or 0 for no convolution"),
		oneOf("slstm_block.slstm.bias_init", l.BiasInit, layers.PowerlawBlockdependent, layers.SmallInit, layers.ZerosInit, layers.StandardInit),
		oneOf("slstm_block.slstm.recurrent_weight_init", l.RecurrentWeightInit, layers.ZerosInit, layers.StandardInit),
		check(clip > 0, "slstm_block.slstm.gradient_recurrent_clipval", clip, "positive, or null for none"),
	); err != nil || c.SLSTMBlock.FeedForward == nil {
		return err
	}
	ffn := c.SLSTMBlock.FeedForward
	if err := ffn.UpProjection.validate("slstm_block.feedforward", c.EmbeddingDim, check); err != nil {
		return err
	}
	return oneOf("slstm_block.feedforward.act_fn", ffn.ActFn, nodes.ActivationNames()...)
}

func (u UpProjection) validate(where string, d int, check func(ok bool, field string, value any, want string) error) error {
	if err := firstError(
		check(u.ProjFactor > 0, where+".proj_factor", u.ProjFactor, "positive"),
		check(u.RoundProjUpToMultipleOf >= 1, where+".round_proj_up_to_multiple_of", u.RoundProjUpToMultipleOf, "at least 1"),
	); err != nil {
		return err
	}
	return check(u.dim(d) >= 1, where+".proj_factor", u.ProjFactor, "large enough for a width of at least 1 after rounding down")
}

func oneOf(field, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return errors.Errorf("%s is %q; it must be one of %s", field, value, strings.Join(allowed, ", "))
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// isSLSTM says whether block i is an sLSTM block.
func (c Config) isSLSTM(i int) bool {
	return c.SLSTMAt.All || slices.Contains(c.SLSTMAt.Indices, i)
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
