package xlstm

import (
	"cmp"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// architecture is what a configuration in JSON describes.
type architecture int

const (
	paperForm       architecture = iota // xLSTMLMModelConfig
	largeForm                           // xLSTMLargeConfig
	huggingFaceForm                     // xLSTMConfig of transformers
	lstmForm                            // a plain LSTM
)

// form returns the form of the configuration.
func (c Config) form() architecture {
	switch {
	case c.LSTM != nil:
		return lstmForm
	case c.Large == nil:
		return paperForm
	case c.Large.HuggingFace == nil:
		return largeForm
	}
	return huggingFaceForm
}

// huggingFace returns what the configuration has of Hugging Face's form, nil if it
// is of another.
func (c Config) huggingFace() *HuggingFaceConfig {
	if c.Large == nil {
		return nil
	}
	return c.Large.HuggingFace
}

// The fields by which the architectures are told apart.
var (
	paperFields       = []string{"mlstm_block", "slstm_block", "slstm_at", "lstm_at", "simplified_at"}
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
		"cell_norm_eps", "head_dim", "igate_bias_init_range", "max_inference_chunksize", "mlstm_round_up_to_multiple_of",
	}
)

// baseFields are the fields of the base class of all configurations in
// transformers, 4.57 and 5.24. They say how a model is loaded, which outputs it
// returns, how it generates by default and what else it is used for; the logits of
// a language model depend on none.
var baseFields = []string{
	"add_cross_attention", "auto_map", "bad_words_ids", "begin_suppress_tokens", "chunk_size_feed_forward", "cross_attention_hidden_size",
	"decoder_start_token_id", "diversity_penalty", "do_sample", "dtype", "early_stopping", "encoder_no_repeat_ngram_size",
	"exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "id2label", "is_decoder",
	"is_encoder_decoder", "label2id", "length_penalty", "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams",
	"num_return_sequences", "output_attentions", "output_hidden_states", "output_scores", "prefix", "problem_type", "pruned_heads",
	"remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate", "sep_token_id", "suppress_tokens",
	"task_specific_params", "temperature", "tf_legacy_loss", "tie_encoder_decoder", "tokenizer_class", "top_k", "top_p", "torch_dtype",
	"torchscript", "transformers_version", "typical_p", "use_bfloat16", "use_cache",
}

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
	if _, ok := fields["lstm"]; ok {
		if other := cmp.Or(first(paperFields), first(largeFields), first(huggingFaceFields)); other != "" {
			return lstmForm, errors.Errorf("the configuration has %s and lstm, which is of a plain LSTM; it must be of one architecture", other)
		}
		return lstmForm, nil
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
	skip := slices.Concat(kernelFields, transformersFields, baseFields)
	unknown := unknownFields(data, &v, skip)
	if err := decodeLargeFields(data, &v, append(skip, unknown...)); err != nil {
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
	c.Large.AddOutNorm = true // as in transformers, regardless of the file
	c.Large.HuggingFace = &HuggingFaceConfig{
		BOSTokenID: v.BOSTokenID, EOSTokenIDs: v.EOSTokenID, PadTokenID: v.PadTokenID, ForceBOSTokenInsert: v.ForceBOSTokenInsert, Unknown: unknown,
	}
	return nil
}

// decodeLargeFields is decode, but refuses a null that would silently stand for a
// default.
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

// unknownFields returns the names in a JSON object, sorted, that are neither in
// skip nor fields of the struct that dst points to nor begin with an underscore.
func unknownFields(data []byte, dst any, skip []string) (unknown []string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return nil // decoding says what is wrong
	}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(dst).Elem()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		delete(fields, name)
	}
	for name := range fields {
		if !slices.Contains(skip, name) && !strings.HasPrefix(name, "_") {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
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
// see ParseConfig. Numbers of type float are written with a point or an exponent,
// 1.0 and not 1: the official configurations are typed, and transformers from 5.0
// on refuses an integer in the place of a float.
func (c Config) MarshalJSON() ([]byte, error) {
	type plain Config
	var form any = plain(c)
	switch c.form() {
	case lstmForm:
		form = newLSTMJSON(c)
	case largeForm:
		form = largeJSON{EmbeddingDim: c.EmbeddingDim, NumBlocks: c.NumBlocks, VocabSize: c.VocabSize, LargeConfig: *c.Large}
	case huggingFaceForm:
		hf := c.huggingFace()
		form = huggingFaceJSON{
			Architectures: []string{"xLSTMForCausalLM"}, ModelType: "xlstm",
			VocabSize: c.VocabSize, HiddenSize: &c.EmbeddingDim, NumHiddenLayers: &c.NumBlocks, LargeConfig: *c.Large, TieWordEmbeddings: c.TieWeights,
			BOSTokenID: hf.BOSTokenID, EOSTokenID: hf.EOSTokenIDs, PadTokenID: hf.PadTokenID, ForceBOSTokenInsert: hf.ForceBOSTokenInsert,
		}
	}
	data, err := json.Marshal(form)
	return wholeFloats.ReplaceAll(data, []byte("${1}.0${2}")), err
}

// wholeFloats matches the fields of type float in compact JSON whose value is
// written like an integer.
var wholeFloats = regexp.MustCompile(`("(?:dropout|eps|ffn_proj_factor|gate_soft_cap|gradient_recurrent_clipval|norm_eps|output_logit_soft_cap|proj_factor|qk_dim_factor|v_dim_factor)":-?[0-9]+)([,}])`)
