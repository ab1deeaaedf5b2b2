package xlstm

import (
	"fmt"
	"math"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/pkg/errors"
)

// LargeConfig describes the xLSTM-7B architecture (arXiv:2503.13427), except
// for the vocabulary, the width and the number of blocks, which are in Config.
// Fields, JSON names and defaults are those of the official xLSTMLargeConfig.
type LargeConfig struct {
	// NumHeads is the number of memory cells in a block.
	NumHeads int `json:"num_heads"`
	// UseBias gives the linear maps and the norms a bias. The input and forget
	// gates always have a bias, the head never; in Hugging Face's form the norm
	// between the blocks and the head has none either.
	UseBias bool `json:"use_bias"`
	// NormEps is added under the square root of the norms.
	NormEps float64 `json:"norm_eps"`
	// AddOutNorm adds a norm between the blocks and the head. In Hugging Face's
	// form it must be true: transformers always applies the norm, so that false
	// is read as true.
	AddOutNorm bool `json:"add_out_norm"`
	// QKDimFactor and VDimFactor are the widths of queries and keys, and of
	// values, divided by that of the embedding.
	QKDimFactor float64 `json:"qk_dim_factor"`
	VDimFactor  float64 `json:"v_dim_factor"`
	// Eps is added to the cell's normaliser.
	Eps float64 `json:"eps"`
	// FFNProjFactor is the width of the feed-forward layer divided by that of
	// the embedding; the width is rounded up to a multiple of
	// FFNRoundUpToMultipleOf.
	FFNProjFactor          float64 `json:"ffn_proj_factor"`
	FFNRoundUpToMultipleOf int     `json:"ffn_round_up_to_multiple_of"`
	// GateSoftCap bounds the input and forget gates' pre-activations,
	// OutputLogitSoftCap the logits: c·tanh(x/c).
	GateSoftCap        float64 `json:"gate_soft_cap"`
	OutputLogitSoftCap float64 `json:"output_logit_soft_cap"`
	// WeightMode is SingleWeights, or FusedWeights to stack projections of the
	// same input in one parameter.
	WeightMode string `json:"weight_mode"`
	// HuggingFace has the additional fields of the form of Hugging Face's
	// transformers; nil selects the form of the official implementation. The
	// two forms of a model differ in config.json, in the name of the embedding
	// and, with UseBias, in the bias of the norm before the head.
	HuggingFace *HuggingFaceConfig `json:"-"`
}

// The values of LargeConfig.WeightMode.
const (
	SingleWeights = "single"
	FusedWeights  = "fused"
)

// HuggingFaceConfig has the fields of the xLSTMConfig of Hugging Face's
// transformers that are not in xLSTMLargeConfig, except Config.TieWeights. They
// do not affect the numbers that the model computes.
type HuggingFaceConfig struct {
	// The ids of special tokens; nil means none. Several tokens may end a text.
	BOSTokenID  *int
	EOSTokenIDs []int
	PadTokenID  *int
	// ForceBOSTokenInsert means that texts begin with BOSTokenID, which the
	// caller has to insert.
	ForceBOSTokenInsert bool
	// Unknown are the sorted names of fields of a configuration that are
	// neither known to this package nor fields of the base class in
	// transformers. They are ignored and not written again; their meaning for
	// the model is unknown. See Config.Warnings.
	Unknown []string
}

// DefaultLargeConfig returns the official defaults of the xLSTM-7B
// architecture. VocabSize, EmbeddingDim, NumBlocks and Large.NumHeads have no
// defaults.
func DefaultLargeConfig() Config {
	return Config{Large: &LargeConfig{
		NormEps: 1e-6, AddOutNorm: true, QKDimFactor: 0.5, VDimFactor: 1, Eps: 1e-6,
		FFNProjFactor: 2.6667, FFNRoundUpToMultipleOf: 64, GateSoftCap: 15, OutputLogitSoftCap: 30, WeightMode: SingleWeights,
	}}
}

// large returns the configuration of the blocks of the xLSTM-7B architecture in
// layers' terms.
func (c Config) large() layers.LargeConfig {
	l := c.Large
	d := float64(c.EmbeddingDim)
	return layers.LargeConfig{
		EmbeddingDim: c.EmbeddingDim, NumHeads: l.NumHeads,
		QKDim: int(d * l.QKDimFactor), VDim: int(d * l.VDimFactor), UpDim: layers.RoundUp(d*l.FFNProjFactor, l.FFNRoundUpToMultipleOf),
		Bias: l.UseBias, Fused: l.WeightMode == FusedWeights,
		GateSoftCap: l.GateSoftCap, NormEps: l.NormEps, Eps: l.Eps, NumBlocks: c.NumBlocks,
	}
}

// validateLarge checks what is special to the xLSTM-7B architecture.
func (c Config) validateLarge(check checker) error {
	if err := c.validateOnlyLarge(check); err != nil {
		return err
	}
	l := c.Large
	if err := firstError(
		check(l.HuggingFace == nil || l.AddOutNorm, "add_out_norm", l.AddOutNorm, "true in Hugging Face's form, whose models always have the norm; the official form can be without"),
		check(l.NumHeads >= 1, "num_heads", l.NumHeads, "at least 1"),
		check.within("ffn_round_up_to_multiple_of", l.FFNRoundUpToMultipleOf, 1, maxInnerWidth),
		oneOf("weight_mode", l.WeightMode, SingleWeights, FusedWeights),
	); err != nil {
		return err
	}
	for _, f := range []struct {
		field string
		value float64
	}{
		{"norm_eps", l.NormEps}, {"eps", l.Eps}, {"gate_soft_cap", l.GateSoftCap}, {"output_logit_soft_cap", l.OutputLogitSoftCap},
		{"qk_dim_factor", l.QKDimFactor}, {"v_dim_factor", l.VDimFactor}, {"ffn_proj_factor", l.FFNProjFactor},
	} {
		if err := check(f.value > 0 && !math.IsInf(f.value, 0), f.field, f.value, "positive and finite"); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		field  string
		factor float64
	}{{"qk_dim_factor", l.QKDimFactor}, {"v_dim_factor", l.VDimFactor}, {"ffn_proj_factor", l.FFNProjFactor}} {
		if err := check(f.factor*float64(c.EmbeddingDim) <= maxInnerWidth, f.field, f.factor, fmt.Sprintf("such that the width is at most %d", maxInnerWidth)); err != nil {
			return err
		}
	}
	w := c.large()
	divides := func(width int) bool { return width >= 1 && width%l.NumHeads == 0 }
	return firstError(
		check(divides(w.QKDim), "qk_dim_factor", l.QKDimFactor, "such that the heads divide the width of queries and keys"),
		check(divides(w.VDim), "v_dim_factor", l.VDimFactor, "such that the heads divide the width of values"),
		check(w.UpDim >= 1, "ffn_proj_factor", l.FFNProjFactor, "such that the feed-forward layer has a width"),
	)
}

// validateOnlyLarge checks that no field of the paper's architecture is set.
func (c Config) validateOnlyLarge(check checker) error {
	const none = "left out for the xLSTM-7B architecture, which has none"
	return firstError(
		check(c.MLSTMBlock == nil, "mlstm_block", "given", none),
		check(c.SLSTMBlock == nil, "slstm_block", "given", none),
		check(c.SLSTMAt.IsZero(), "slstm_at", c.SLSTMAt, none),
		check(c.LSTMAt.IsZero(), "lstm_at", c.LSTMAt, none),
		check(c.SimplifiedAt.IsZero(), "simplified_at", c.SimplifiedAt, none),
		check(!c.AddPostBlocksNorm, "add_post_blocks_norm", c.AddPostBlocksNorm, "false for the xLSTM-7B architecture, whose norm is add_out_norm"),
		check(!c.AddEmbeddingDropout, "add_embedding_dropout", c.AddEmbeddingDropout, "false for the xLSTM-7B architecture"),
		check(!c.Bias, "bias", c.Bias, "false for the xLSTM-7B architecture, whose bias is use_bias"),
		check(c.Dropout == 0, "dropout", c.Dropout, "0 for the xLSTM-7B architecture"),
		check(!c.TieWeights || c.huggingFace() != nil, "tie_weights", c.TieWeights, "false for the xLSTM-7B architecture, unless it is in Hugging Face's form"),
	)
}

// errBothForms says that a configuration cannot be of both architectures.
func errBothForms(a, b string) error {
	return errors.Errorf("the configuration has %s of the paper's architecture and %s of xLSTM-7B's; it must be of one", a, b)
}
