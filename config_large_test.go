package xlstm

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/layers"
)

// randomLargeConfig is a valid configuration of the xLSTM-7B architecture that is
// small and unlikely.
func randomLargeConfig(r *rand.Rand) Config {
	yes := func() bool { return r.IntN(2) == 0 }
	cfg := DefaultLargeConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks = 1+r.IntN(9), 8*(1+r.IntN(5)), 1+r.IntN(3)
	l := cfg.Large
	l.NumHeads, l.UseBias, l.AddOutNorm = pick(r, 1, 2, 4), yes(), yes()
	l.QKDimFactor, l.VDimFactor = pick(r, 0.5, 1, 1.5), pick(r, 0.5, 1, 2)
	l.FFNProjFactor, l.FFNRoundUpToMultipleOf = 1+r.Float64(), 1+r.IntN(9)
	l.WeightMode = pick(r, SingleWeights, FusedWeights)
	if yes() {
		id := r.IntN(cfg.VocabSize)
		cfg.TieWeights, l.AddOutNorm = yes(), true
		l.HuggingFace = &HuggingFaceConfig{BOSTokenID: &id, EOSTokenIDs: pick(r, []int{2}, []int{3, 4}), ForceBOSTokenInsert: yes()}
	}
	return cfg
}

// xlstm7B is a config.json with the values of NX-AI/xLSTM-7b, written as that
// model's is: width and depth under the native names only, fields that
// transformers once had, and kernels.
const xlstm7B = `{"add_embedding_dropout": false, "add_forward_backend_padding": false, "add_out_norm": true, "add_post_blocks_norm": true,
	"add_post_norm": false, "add_qk_norm": false, "architectures": ["xLSTMForCausalLM"], "autocast_kernel_dtype": "bfloat16",
	"bos_token_id": 0, "cell_norm_eps": 1e-06, "chunk_size": 64, "chunkwise_kernel": "chunkwise--triton_xl_chunk", "embedding_dim": 4096,
	"eos_token_id": 2, "eps": 1e-06, "ffn_proj_factor": 2.667, "ffn_round_up_to_multiple_of": 64, "force_bos_token_insert": true,
	"gate_soft_cap": 15.0, "head_dim": 512, "igate_bias_init_range": -10.0, "inference_state_dtype": "float32",
	"max_inference_chunksize": 16384, "mlstm_round_up_to_multiple_of": 64, "mode": "inference", "model_type": "xlstm",
	"norm_eps": 1e-06, "norm_reduction_force_float32": true, "num_blocks": 32, "num_heads": 8, "output_logit_soft_cap": 30.0,
	"pad_token_id": 1, "qk_dim_factor": 0.5, "return_last_states": true, "sequence_kernel": "native_sequence__triton",
	"step_kernel": "triton", "tie_word_embeddings": false, "torch_dtype": "float32", "transformers_version": "4.48.0.dev0",
	"use_bias": false, "use_cache": true, "v_dim_factor": 1.0, "vocab_size": 50304, "weight_mode": "single"}`

func parsed(t *testing.T, data string) Config {
	t.Helper()
	cfg, err := ParseConfig([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestXLSTM7B: the configuration of the published model is read, and what it
// costs is known without making it.
func TestXLSTM7B(t *testing.T) {
	cfg := parsed(t, xlstm7B)
	l := cfg.large()
	if cfg.EmbeddingDim != 4096 || cfg.NumBlocks != 32 || l.NumHeads != 8 || l.QKDim != 8*256 || l.VDim != 8*512 || l.UpDim != 10944 {
		t.Errorf("%+v, %+v", cfg, l)
	}
	hf := cfg.Large.HuggingFace
	if hf == nil || *hf.BOSTokenID != 0 || *hf.PadTokenID != 1 || !reflect.DeepEqual(hf.EOSTokenIDs, []int{2}) || !hf.ForceBOSTokenInsert {
		t.Errorf("%+v", hf)
	}
	if again := parsed(t, `{"model_type": "xlstm", "force_bos_token_insert": true}`); !reflect.DeepEqual(again, cfg) {
		t.Errorf("the defaults of transformers are %+v, not xLSTM-7B: %+v", again.Large, cfg.Large)
	}
	c := costOf(t, cfg, CostOptions{Batch: 1, Steps: 1})
	if n := c.Total().Params; n != 6865424896 {
		t.Errorf("%d parameters, want 6865424896", n)
	}
	if n := c.StateBytes(); n != 4*32*8*(256*512+256+1) {
		t.Errorf("a state of %d bytes", n)
	}
	readme := DefaultLargeConfig()
	readme.VocabSize, readme.EmbeddingDim, readme.NumBlocks, readme.Large.NumHeads = 2048, 512, 6, 4
	if n := costOf(t, readme, CostOptions{Batch: 1, Steps: 1}).Total().Params; n != 21399088 {
		t.Errorf("the official README's model has %d parameters, want 21399088", n)
	}
}

func TestLargeConfigDefaultsAreOfficial(t *testing.T) {
	got := parsed(t, `{"vocab_size": 7, "embedding_dim": 8, "num_blocks": 2, "num_heads": 2}`)
	want := DefaultLargeConfig()
	want.VocabSize, want.EmbeddingDim, want.NumBlocks, want.Large.NumHeads = 7, 8, 2, 2
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	raw, err := os.ReadFile(filepath.Join(goldenRoot, "large", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if l := parsed(t, string(raw)).large(); l.QKDim != 32 || l.VDim != 64 || l.UpDim != 192 {
		t.Errorf("%+v", l)
	}
}

// TestWidthsAreRoundedAsTheOfficialCodeDoes: up, but what is less than one above
// a multiple stays there.
func TestWidthsAreRoundedAsTheOfficialCodeDoes(t *testing.T) {
	for _, c := range []struct {
		x    float64
		want int
	}{{64, 64}, {64.5, 64}, {65, 128}, {10922.8, 10944}, {1, 64}} {
		if got := layers.RoundUp(c.x, 64); got != c.want {
			t.Errorf("%v is rounded to %d, want %d", c.x, got, c.want)
		}
	}
}

func TestLargeConfigRoundTripsThroughJSON(t *testing.T) {
	for seed := range uint64(50) {
		cfg := randomLargeConfig(rand.New(rand.NewPCG(seed, 1)))
		data, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed(t, string(data)); !reflect.DeepEqual(got, cfg) {
			t.Errorf("%s\nbecame %+v, %+v", data, got, got.Large)
		}
		if hf := strings.Contains(string(data), `"hidden_size"`); hf != (cfg.Large.HuggingFace != nil) {
			t.Errorf("the form of %s", data)
		}
	}
}

// TestParsingReplacesTheOtherArchitecture: what was there does not mix with what
// is read.
func TestParsingReplacesTheOtherArchitecture(t *testing.T) {
	cfg := smallConfig()
	cfg.Dropout = 0.1
	if err := json.Unmarshal([]byte(`{"vocab_size": 7, "embedding_dim": 8, "num_blocks": 2, "num_heads": 2}`), &cfg); err != nil || cfg.Validate() != nil {
		t.Error(err, cfg.Validate())
	}
	if err := json.Unmarshal([]byte(`{"vocab_size": 7, "mlstm_block": {}}`), &cfg); err != nil || cfg.Large != nil {
		t.Error(err, cfg.Large)
	}
}

func TestLargeConfigErrorsNameFieldValueAndRange(t *testing.T) {
	const size = `"vocab_size": 5, "embedding_dim": 8, "num_blocks": 1, `
	for _, c := range []struct{ json, field, value, allowed string }{
		{`{"embedding_dim": 8, "num_blocks": 1, "num_heads": 2}`, "vocab_size", "0", "at least 1"},
		{`{` + size + `"num_heads": 0}`, "num_heads", "0", "at least 1"},
		{`{` + size + `"num_heads": 3}`, "qk_dim_factor", "0.5", "heads divide"},
		{`{` + size + `"num_heads": 2, "v_dim_factor": 0.1}`, "v_dim_factor", "0.1", "heads divide"},
		{`{` + size + `"num_heads": 2, "v_dim_factor": -1}`, "v_dim_factor", "-1", "positive"},
		{`{` + size + `"num_heads": 2, "qk_dim_factor": 1e300}`, "qk_dim_factor", "1e+300", "at most"},
		{`{` + size + `"num_heads": 2, "ffn_proj_factor": 1e300}`, "ffn_proj_factor", "1e+300", "width"},
		{`{` + size + `"num_heads": 2, "ffn_round_up_to_multiple_of": 0}`, "ffn_round_up_to_multiple_of", "0", "at least 1"},
		{`{` + size + `"num_heads": 2, "gate_soft_cap": 0}`, "gate_soft_cap", "0", "positive"},
		{`{` + size + `"num_heads": 2, "gate_soft_cap": null}`, "gate_soft_cap", "null", "value"},
		{`{` + size + `"num_heads": 2, "norm_eps": 0}`, "norm_eps", "0", "positive"},
		{`{` + size + `"num_heads": 2, "weight_mode": "half"}`, "weight_mode", `"half"`, "fused"},
		{`{` + size + `"num_heads": 2, "dropout": 0.1}`, "dropout", "", "unknown field"},
		{`{` + size + `"num_heads": 2, "mlstm_block": {}}`, "mlstm_block", "num_heads", "of one"},
		{`{"model_type": "xlstm", "slstm_at": [1]}`, "slstm_at", "model_type", "of one"},
		{`{"model_type": "mamba"}`, "model_type", `"mamba"`, `"xlstm"`},
		{`{"model_type": "xlstm", "hidden_size": 64, "embedding_dim": 128}`, "hidden_size", "128", "equal"},
		{`{"model_type": "xlstm", "num_hidden_layers": 2, "num_blocks": 3}`, "num_blocks", "3", "equal"},
		{`{"model_type": "xlstm", "eos_token_id": "end"}`, "eos_token_id", "string", ""},
	} {
		wantRefused(t, c.json, c.field, c.value, c.allowed)
	}
	for field, edit := range map[string]func(*Config){
		"dropout": func(c *Config) { c.Dropout = 0.1 }, "bias": func(c *Config) { c.Bias = true }, "slstm_at": func(c *Config) { c.SLSTMAt = AllBlocks() },
		"add_post_blocks_norm": func(c *Config) { c.AddPostBlocksNorm = true }, "tie_weights": func(c *Config) { c.TieWeights = true },
		"mlstm_block": func(c *Config) { c.MLSTMBlock = &MLSTMBlockConfig{} },
	} {
		cfg := DefaultLargeConfig()
		cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.Large.NumHeads = 5, 8, 1, 2
		edit(&cfg)
		testutil.WantError(t, cfg.Validate(), field, "xLSTM-7B")
	}
}
