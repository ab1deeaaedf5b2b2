package xlstm

import (
	"encoding/json"
	"slices"

	"github.com/pkg/errors"
)

// architecture is what a configuration in JSON describes.
type architecture int

const (
	paperForm       architecture = iota // xLSTMLMModelConfig
	largeForm                           // xLSTMLargeConfig
	huggingFaceForm                     // xLSTMConfig of transformers
)

// The fields by which the architectures are told apart.
var (
	paperFields       = []string{"mlstm_block", "slstm_block", "slstm_at"}
	largeFields       = []string{"num_heads", "qk_dim_factor", "v_dim_factor", "ffn_proj_factor", "gate_soft_cap", "output_logit_soft_cap", "weight_mode"}
	huggingFaceFields = []string{"model_type", "architectures", "hidden_size", "num_hidden_layers", "tie_word_embeddings"}
)

// What a kernel for a GPU needs to know, and what transformers has for itself or
// had once, and no model depends on.
var (
	kernelFields = []string{
		"autocast_kernel_dtype", "chunk_size", "chunkwise_kernel", "inference_state_dtype", "mode",
		"norm_reduction_force_float32", "return_last_states", "sequence_kernel", "step_kernel",
	}
	transformersFields = []string{
		"add_embedding_dropout", "add_forward_backend_padding", "add_post_blocks_norm", "add_post_norm", "add_qk_norm", "architectures",
		"cell_norm_eps", "dtype", "head_dim", "igate_bias_init_range", "max_inference_chunksize", "mlstm_round_up_to_multiple_of",
		"torch_dtype", "transformers_version", "use_cache",
	}
)

// architectureOf tells the architecture by the fields that are there.
func architectureOf(data []byte) (architecture, error) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return paperForm, nil // which says what is wrong
	}
	first := func(names []string) string {
		i := slices.IndexFunc(names, func(name string) bool { _, ok := fields[name]; return ok })
		if i < 0 {
			return ""
		}
		return names[i]
	}
	paper, large, hf := first(paperFields), first(largeFields), first(huggingFaceFields)
	switch {
	case paper != "" && large+hf != "":
		if large == "" {
			large = hf
		}
		return paperForm, errBothForms(paper, large)
	case hf != "":
		return huggingFaceForm, nil
	case large != "":
		return largeForm, nil
	}
	return paperForm, nil
}

// largeJSON is xLSTMLargeConfig.
type largeJSON struct {
	EmbeddingDim int `json:"embedding_dim"`
	NumBlocks    int `json:"num_blocks"`
	VocabSize    int `json:"vocab_size"`
	LargeConfig
}

// huggingFaceJSON is xLSTMConfig. Width and depth have two names each.
type huggingFaceJSON struct {
	Architectures   []string `json:"architectures,omitempty"`
	ModelType       string   `json:"model_type"`
	VocabSize       int      `json:"vocab_size"`
	HiddenSize      *int     `json:"hidden_size"`
	EmbeddingDim    *int     `json:"embedding_dim,omitempty"`
	NumHiddenLayers *int     `json:"num_hidden_layers"`
	NumBlocks       *int     `json:"num_blocks,omitempty"`
	LargeConfig
	TieWordEmbeddings   bool     `json:"tie_word_embeddings"`
	BOSTokenID          *int     `json:"bos_token_id"`
	EOSTokenID          tokenIDs `json:"eos_token_id"`
	PadTokenID          *int     `json:"pad_token_id"`
	ForceBOSTokenInsert bool     `json:"force_bos_token_insert"`
}

// tokenIDs are none (null), one (a number) or several token ids (a list).
type tokenIDs []int

// MarshalJSON writes the shortest of the three.
func (ids tokenIDs) MarshalJSON() ([]byte, error) {
	switch len(ids) {
	case 0:
		return []byte("null"), nil
	case 1:
		return json.Marshal(ids[0])
	}
	return json.Marshal([]int(ids))
}

// UnmarshalJSON reads any of the three.
func (ids *tokenIDs) UnmarshalJSON(data []byte) error {
	var one int
	if string(data) != "null" && json.Unmarshal(data, &one) == nil {
		*ids = tokenIDs{one}
		return nil
	}
	return json.Unmarshal(data, (*[]int)(ids))
}

// decodeLarge reads xLSTMLargeConfig.
func (c *Config) decodeLarge(data []byte) error {
	v := largeJSON{LargeConfig: *DefaultLargeConfig().Large}
	if err := decodeLargeFields(data, &v, kernelFields); err != nil {
		return err
	}
	*c = Config{VocabSize: v.VocabSize, EmbeddingDim: v.EmbeddingDim, NumBlocks: v.NumBlocks, ContextLength: c.ContextLength, Large: &v.LargeConfig}
	return nil
}

// decodeHuggingFace reads xLSTMConfig, whose defaults are xLSTM-7B.
func (c *Config) decodeHuggingFace(data []byte) error {
	zero, one := 0, 1
	v := huggingFaceJSON{
		VocabSize: 50304, LargeConfig: *DefaultLargeConfig().Large,
		BOSTokenID: &zero, EOSTokenID: tokenIDs{2}, PadTokenID: &one,
	}
	v.NumHeads, v.FFNProjFactor = 8, 2.667
	skip := append(slices.Clone(kernelFields), transformersFields...)
	if err := decodeLargeFields(data, &v, skip); err != nil {
		return err
	}
	if v.ModelType != "" && v.ModelType != "xlstm" {
		return errors.Errorf("model_type is %q; it must be \"xlstm\"", v.ModelType)
	}
	width, err := either("hidden_size", v.HiddenSize, "embedding_dim", v.EmbeddingDim, 4096)
	if err != nil {
		return err
	}
	blocks, err := either("num_hidden_layers", v.NumHiddenLayers, "num_blocks", v.NumBlocks, 32)
	if err != nil {
		return err
	}
	*c = Config{VocabSize: v.VocabSize, EmbeddingDim: width, NumBlocks: blocks, ContextLength: c.ContextLength, TieWeights: v.TieWordEmbeddings, Large: &v.LargeConfig}
	c.Large.HuggingFace = &HuggingFaceConfig{
		BOSTokenID: v.BOSTokenID, EOSTokenIDs: v.EOSTokenID, PadTokenID: v.PadTokenID, ForceBOSTokenInsert: v.ForceBOSTokenInsert,
	}
	return nil
}

// decodeLargeFields is decode, with null refused where it would stand for a default
// in silence.
func decodeLargeFields(data []byte, dst any, skip []string) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) == nil {
		for _, name := range append([]string{"vocab_size", "use_bias", "norm_eps", "add_out_norm", "eps", "ffn_round_up_to_multiple_of"}, largeFields...) {
			if string(fields[name]) == "null" {
				return errors.Errorf("%s is null; it must have a value, or be left out for the default", name)
			}
		}
	}
	return decode("the configuration", data, dst, skip...)
}

// either returns the value of a field with two names.
func either(a string, x *int, b string, y *int, missing int) (int, error) {
	switch {
	case x == nil && y == nil:
		return missing, nil
	case x == nil:
		return *y, nil
	case y != nil && *x != *y:
		return 0, errors.Errorf("%s is %d and %s %d; they are the same field and must be equal", a, *x, b, *y)
	}
	return *x, nil
}

// MarshalJSON writes the configuration in the official form of its architecture;
// see ParseConfig.
func (c Config) MarshalJSON() ([]byte, error) {
	type plain Config
	switch {
	case c.Large == nil:
		return json.Marshal(plain(c))
	case c.Large.HuggingFace == nil:
		return json.Marshal(largeJSON{EmbeddingDim: c.EmbeddingDim, NumBlocks: c.NumBlocks, VocabSize: c.VocabSize, LargeConfig: *c.Large})
	}
	hf := c.Large.HuggingFace
	return json.Marshal(huggingFaceJSON{
		Architectures: []string{"xLSTMForCausalLM"}, ModelType: "xlstm",
		VocabSize: c.VocabSize, HiddenSize: &c.EmbeddingDim, NumHiddenLayers: &c.NumBlocks, LargeConfig: *c.Large, TieWordEmbeddings: c.TieWeights,
		BOSTokenID: hf.BOSTokenID, EOSTokenID: hf.EOSTokenIDs, PadTokenID: hf.PadTokenID, ForceBOSTokenInsert: hf.ForceBOSTokenInsert,
	})
}
