package xlstm

import (
	"encoding/json"

	"github.com/gorgonia-xlstm/xlstm/layers"
)

// LSTMConfig describes a language model of the classic LSTM: embedded tokens, an
// LSTM of several layers as PyTorch's nn.LSTM, and a head with a bias. The
// vocabulary, the width of the embedding and the number of layers are in Config.
type LSTMConfig struct {
	// HiddenSize is the number of units of a layer.
	HiddenSize int `json:"hidden_size"`
}

// DefaultLSTMConfig returns a language model of the classic LSTM with two layers of
// 256 units over embeddings of width 128. VocabSize has no default.
func DefaultLSTMConfig() Config {
	return Config{EmbeddingDim: 128, NumBlocks: 2, LSTM: &LSTMConfig{HiddenSize: 256}}
}

// lstmJSON is the form of a configuration with LSTM.
type lstmJSON struct {
	VocabSize              int        `json:"vocab_size"`
	EmbeddingDim           int        `json:"embedding_dim"`
	NumBlocks              int        `json:"num_blocks"`
	ContextLength          int        `json:"context_length"`
	Dropout                float64    `json:"dropout"`
	AddEmbeddingDropout    bool       `json:"add_embedding_dropout"`
	TieWeights             bool       `json:"tie_weights"`
	WeightDecayOnEmbedding bool       `json:"weight_decay_on_embedding"`
	LSTM                   LSTMConfig `json:"lstm"`
}

func newLSTMJSON(c Config) lstmJSON {
	return lstmJSON{
		VocabSize: c.VocabSize, EmbeddingDim: c.EmbeddingDim, NumBlocks: c.NumBlocks, ContextLength: c.ContextLength,
		Dropout: c.Dropout, AddEmbeddingDropout: c.AddEmbeddingDropout, TieWeights: c.TieWeights,
		WeightDecayOnEmbedding: c.WeightDecayOnEmbedding, LSTM: *c.LSTM,
	}
}

// config is the inverse of newLSTMJSON.
func (v lstmJSON) config() Config {
	return Config{
		VocabSize: v.VocabSize, EmbeddingDim: v.EmbeddingDim, NumBlocks: v.NumBlocks, ContextLength: v.ContextLength,
		Dropout: v.Dropout, AddEmbeddingDropout: v.AddEmbeddingDropout, TieWeights: v.TieWeights,
		WeightDecayOnEmbedding: v.WeightDecayOnEmbedding, LSTM: &v.LSTM,
	}
}

// decodeLSTM reads a configuration with LSTM over the defaults.
func (c *Config) decodeLSTM(data []byte) error {
	context := c.ContextLength
	v := newLSTMJSON(DefaultLSTMConfig())
	v.ContextLength = context
	if err := decode("the configuration", data, &v); err != nil {
		return err
	}
	*c = v.config()
	return nil
}

// UnmarshalJSON reads the configuration over what it holds.
func (c *LSTMConfig) UnmarshalJSON(data []byte) error {
	type plain LSTMConfig
	return decode("lstm", json.RawMessage(data), (*plain)(c))
}

// lstmLayer returns the description of a layer of the LSTM.
func (c Config) lstmLayer(i int) layers.LSTMConfig {
	l := layers.LSTMConfig{InputDim: c.LSTM.HiddenSize, HiddenDim: c.LSTM.HiddenSize, Index: i, Dropout: c.Dropout}
	if i == 0 {
		l.InputDim = c.EmbeddingDim
	}
	return l
}

// validateLSTM checks what is special to a language model of the classic LSTM.
func (c Config) validateLSTM(check checker) error {
	const none = "left out for a plain LSTM, which has none"
	return firstError(
		check.within("lstm.hidden_size", c.LSTM.HiddenSize, 1, maxWidth),
		check(c.Large == nil, "num_heads", "given", none),
		check(c.MLSTMBlock == nil, "mlstm_block", "given", none),
		check(c.SLSTMBlock == nil, "slstm_block", "given", none),
		check(c.SLSTMAt.IsZero(), "slstm_at", c.SLSTMAt, none),
		check(c.LSTMAt.IsZero(), "lstm_at", c.LSTMAt, none),
		check(c.SimplifiedAt.IsZero(), "simplified_at", c.SimplifiedAt, none),
		check(!c.AddPostBlocksNorm, "add_post_blocks_norm", c.AddPostBlocksNorm, "false for a plain LSTM"),
		check(!c.Bias, "bias", c.Bias, "false for a plain LSTM, which always has biases"),
		check(!c.TieWeights || c.LSTM.HiddenSize == c.EmbeddingDim, "tie_weights", c.TieWeights, "false unless lstm.hidden_size is embedding_dim: the head reads the one, the embedding has the other"),
	)
}
