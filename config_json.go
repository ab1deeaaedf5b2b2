package xlstm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

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
		return errors.Errorf("a list of blocks (slstm_at, lstm_at, simplified_at) is %s; it is a list of block indices or \"all\"", data)
	}
	return nil
}

// ParseConfig reads a configuration in the official JSON form:
// xLSTMLMModelConfig of the paper's architecture, xLSTMLargeConfig of
// xLSTM-7B's, or the xLSTMConfig of Hugging Face's transformers; or the form of a
// plain LSTM, which has a field lstm. The form is determined by the fields. Missing fields have the official defaults; a
// missing or null block, or a null feedforward, is absent. Fields that only
// matter on a GPU or to transformers, and those whose names begin with an
// underscore, are ignored. Any other unknown field is an error in the official
// forms; in Hugging Face's form, to which anyone may add fields, it is reported
// by Config.Warnings. The configuration is validated.
func ParseConfig(data []byte) (Config, error) { return parseConfig(data, 0) }

// parseConfig is ParseConfig, with vocab_size replaced by vocab unless that is 0.
func parseConfig(data []byte, vocab int) (Config, error) {
	cfg := DefaultConfig()
	cfg.MLSTMBlock, cfg.SLSTMBlock = nil, nil
	if err := json.Unmarshal(files.WithoutMark(data), &cfg); err != nil {
		return Config{}, errors.Wrap(err, "reading the model configuration")
	}
	if cfg.MLSTMBlock == nil && cfg.form() == paperForm && cfg.LSTMAt.IsZero() && cfg.SimplifiedAt.IsZero() {
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
	form, err := architectureOf(data)
	switch {
	case err != nil:
		return err
	case form == largeForm:
		return c.decodeLarge(data)
	case form == huggingFaceForm:
		return c.decodeHuggingFace(data)
	case form == lstmForm:
		return c.decodeLSTM(data)
	}
	c.Large, c.LSTM = nil, nil
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

// UnmarshalJSON reads a block's configuration over the defaults; a null
// feedforward is absent.
func (c *SLSTMBlockConfig) UnmarshalJSON(data []byte) error {
	type plain SLSTMBlockConfig
	*c = SLSTMBlockConfig{SLSTM: defaultSLSTM(), FeedForward: defaultFeedForward()}
	return decode("slstm_block", data, (*plain)(c))
}

// MarshalJSON adds the name of the official backend to the fields: vanilla,
// which runs on any machine and has the layout of a model's parameters. The
// official default is the GPU backend, which has a different layout.
func (c SLSTMLayerConfig) MarshalJSON() ([]byte, error) {
	type plain SLSTMLayerConfig
	return json.Marshal(struct {
		plain
		Backend string `json:"backend"`
	}{plain(c), cmp.Or(c.backend, vanillaBackend)})
}

// The official backends of the sLSTM that a Layout is named after.
const (
	vanillaBackend = "vanilla"
	cudaBackend    = "cuda"
)

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
