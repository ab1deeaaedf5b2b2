package xlstm

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

func TestConfigDefaultsAreOfficial(t *testing.T) {
	want := DefaultConfig()
	want.VocabSize = 7
	for _, slstm := range []string{`{}`, `{"feedforward": {}}`, `{"slstm": {}}`} {
		got, err := ParseConfig([]byte(`{"vocab_size": 7, "mlstm_block": {}, "slstm_block": ` + slstm + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got  %+v\nwant %+v", slstm, got, want)
		}
	}
	if l := want.mlstm(); l.InnerDim != 256 || l.ConvKernel != 4 || l.QKVBlock != 4 || l.NumHeads != 4 {
		t.Errorf("mLSTM defaults: %+v", l)
	}
	if f := want.feedForward(); f.UpDim != 192 || f.Activation != "gelu" {
		t.Errorf("feed-forward defaults: %+v", f)
	}
}

func TestConfigRoundTripsThroughJSON(t *testing.T) {
	clip := 10.0
	cfg := DefaultConfig()
	cfg.VocabSize, cfg.NumBlocks, cfg.SLSTMAt, cfg.Dropout, cfg.TieWeights = 9, 3, Blocks(0, 2), 0.2, true
	cfg.SLSTMBlock.SLSTM.GradientRecurrentClipval = &clip
	configs := []Config{}
	for _, at := range []BlockList{Blocks(), Blocks(0, 2), AllBlocks()} {
		cfg.SLSTMAt = at
		configs = append(configs, cfg)
	}
	for _, at := range []BlockList{Blocks(1), AllBlocks()} {
		cfg.SLSTMAt, cfg.LSTMAt, cfg.SimplifiedAt = Blocks(), at, Blocks()
		configs = append(configs, cfg)
		cfg.LSTMAt, cfg.SimplifiedAt = Blocks(), at
		configs = append(configs, cfg)
	}
	plain := DefaultLSTMConfig()
	plain.VocabSize, plain.Dropout, plain.ContextLength, plain.WeightDecayOnEmbedding = 9, 0.2, 7, true
	for _, cfg := range append(configs, plain) {
		data, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseConfig(data)
		if err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		again, err := json.Marshal(got)
		if err != nil || string(again) != string(data) {
			t.Errorf("%s\nbecame %s (%v)", data, again, err)
		}
	}
}

func TestConfigWithoutMLSTMBlockIsAllSLSTM(t *testing.T) {
	cfg, err := ParseConfig([]byte(`{"vocab_size": 7, "num_blocks": 2, "slstm_block": {"feedforward": null}}`))
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.SLSTMAt.All || cfg.SLSTMBlock.FeedForward != nil {
		t.Errorf("%+v", cfg)
	}
}

// wantRefused reports a configuration that ParseConfig accepts, or refuses without
// naming the parts.
func wantRefused(t *testing.T, json string, parts ...string) {
	t.Helper()
	_, err := ParseConfig([]byte(json))
	if err == nil {
		t.Errorf("%s is accepted", json)
		return
	}
	testutil.WantError(t, err, parts...)
}

// TestConfigErrorsNameFieldValueAndRange: one sentence that helps.
func TestConfigErrorsNameFieldValueAndRange(t *testing.T) {
	const blocks = `"mlstm_block": {"mlstm": {}}, "slstm_block": {"slstm": {}, "feedforward": {}}`
	for _, c := range []struct{ json, field, value, allowed string }{
		{`{` + blocks + `}`, "vocab_size", "0", "at least 1"},
		{`{"vocab_size": 5, "embedding_dim": -2, ` + blocks + `}`, "embedding_dim", "-2", "at least 1"},
		{`{"vocab_size": 5, "num_blocks": 0, ` + blocks + `}`, "num_blocks", "0", "at least 1"},
		{`{"vocab_size": 5, "dropout": 1, ` + blocks + `}`, "dropout", "1", "below 1"},
		{`{"vocab_size": 5, "slstm_at": [3], ` + blocks + `}`, "slstm_at", "[3]", "below num_blocks"},
		{`{"vocab_size": 5, "slstm_at": "some", ` + blocks + `}`, "slstm_at", `"some"`, "all"},
		{`{"vocab_size": 5, "slstm_at": [0], "mlstm_block": {}}`, "slstm_block", "null", "must describe"},
		{`{"vocab_size": 5, "mlstm_block": {"mlstm": {"num_heads": 3}}}`, "mlstm_block.mlstm.num_heads", "3", "divisor"},
		{`{"vocab_size": 5, "mlstm_block": {"mlstm": {"num_heads": 0}}}`, "mlstm_block.mlstm.num_heads", "0", "divisor"},
		{`{"vocab_size": 5, "mlstm_block": {"mlstm": {"qkv_proj_blocksize": 5}}}`, "qkv_proj_blocksize", "5", "divisor"},
		{`{"vocab_size": 5, "mlstm_block": {"mlstm": {"proj_factor": 0}}}`, "proj_factor", "0", "positive"},
		{`{"vocab_size": 5, "mlstm_block": {"mlstm": {"conv1d_kernel_size": 0}}}`, "conv1d_kernel_size", "0", "at least 1"},
		{`{"vocab_size": 5, "slstm_block": {"slstm": {"num_heads": 3}}}`, "slstm_block.slstm.num_heads", "3", "divisor"},
		{`{"vocab_size": 5, "slstm_block": {"slstm": {"bias_init": "ones"}}}`, "bias_init", `"ones"`, "powerlaw_blockdependent"},
		{`{"vocab_size": 5, "slstm_block": {"slstm": {"recurrent_weight_init": "ones"}}}`, "recurrent_weight_init", `"ones"`, "standard"},
		{`{"vocab_size": 5, "slstm_block": {"slstm": {"gradient_recurrent_clipval": -1}}}`, "gradient_recurrent_clipval", "-1", "positive"},
		{`{"vocab_size": 5, "slstm_block": {"slstm": {"function": "lstm"}}}`, "function", `"lstm"`, "slstm"},
		{`{"vocab_size": 5, "slstm_block": {"slstm": {}, "feedforward": {"act_fn": "tanh"}}}`, "act_fn", `"tanh"`, "gelu"},
		{`{"vocab_size": 5, "slstm_block": {"slstm": {}, "feedforward": {"ff_type": "moe"}}}`, "ff_type", `"moe"`, "ffn_gated"},
		{`{"vocab_size": 5, "lstm_at": [3], ` + blocks + `}`, "lstm_at", "[3]", "below num_blocks"},
		{`{"vocab_size": 5, "lstm_at": "some", ` + blocks + `}`, "lstm_at", `"some"`, "all"},
		{`{"vocab_size": 5, "num_blocks": 2, "slstm_at": [1], "lstm_at": "all", ` + blocks + `}`, "block 1", "slstm_at", "in lstm_at; it must be in one"},
		{`{"vocab_size": 5, "num_blocks": 2, "lstm_at": [0], "simplified_at": [1, 0], ` + blocks + `}`, "block 0", "lstm_at", "in simplified_at; it must be in one"},
		{`{"vocab_size": 5, "lstm_at": "all", "mlstm_block": {}}`, "slstm_block", "null", "lstm_at"},
		{`{"vocab_size": 5, "lstm_at": "all", "slstm_block": {"feedforward": {"act_fn": "tanh"}}}`, "act_fn", `"tanh"`, "gelu"},
		{`{"vocab_size": 5, "lstm": {"hidden_size": 0}}`, "lstm.hidden_size", "0", "at least 1"},
		{`{"vocab_size": 5, "lstm": {"hidden": 4}}`, "lstm", "hidden", "unknown field"},
		{`{"vocab_size": 5, "lstm": 4}`, "lstm", "4", "object"},
		{`{"vocab_size": 5, "tie_weights": true, "lstm": {"hidden_size": 4}}`, "tie_weights", "true", "hidden_size"},
		{`{"vocab_size": 5, "lstm": {}, "slstm_at": [0]}`, "slstm_at", "lstm", "one architecture"},
		{`{"vocab_size": 5, "vocabsize": 5}`, "vocabsize", "", "unknown field"},
		{`{"vocab_size": 5, "mlstm_block": {"mlstm": {"heads": 2}}}`, "heads", "", "unknown field"},
		{`{"vocab_size": "many"}`, "vocab_size", "string", "int"},
		{`[]`, "the configuration", "[]", "object"},
	} {
		wantRefused(t, c.json, c.field, c.value, c.allowed)
	}
}

// TestConfigsBeyondAllSizesAreRefused: before anything is multiplied or made.
func TestConfigsBeyondAllSizesAreRefused(t *testing.T) {
	paper := func() Config {
		c := smallConfig()
		ffn := *c.SLSTMBlock.FeedForward
		c.SLSTMBlock.FeedForward = &ffn
		return c
	}
	large := func() Config {
		c := DefaultLargeConfig()
		c.VocabSize, c.EmbeddingDim, c.NumBlocks, c.Large.NumHeads = 11, 32, 2, 2
		return c
	}
	for _, c := range []struct {
		field string
		cfg   Config
		edit  func(c *Config)
	}{
		{"vocab_size", paper(), func(c *Config) { c.VocabSize = maxVocab + 1 }},
		{"embedding_dim", paper(), func(c *Config) { c.EmbeddingDim = math.MaxInt }},
		{"num_blocks", paper(), func(c *Config) { c.NumBlocks = 1_000_000_000 }},
		{"slstm_at", paper(), func(c *Config) { c.SLSTMAt = Blocks(make([]int, 4)...) }},
		{"mlstm_block.mlstm.proj_factor", paper(), func(c *Config) { c.MLSTMBlock.MLSTM.ProjFactor = 1e300 }},
		{"mlstm_block.mlstm.proj_factor", paper(), func(c *Config) { c.MLSTMBlock.MLSTM.ProjFactor = math.NaN() }},
		{"mlstm_block.mlstm.round_proj_up_to_multiple_of", paper(), func(c *Config) { c.MLSTMBlock.MLSTM.RoundProjUpToMultipleOf = math.MaxInt }},
		{"mlstm_block.mlstm.conv1d_kernel_size", paper(), func(c *Config) { c.MLSTMBlock.MLSTM.Conv1dKernelSize = math.MaxInt }},
		{"slstm_block.slstm.conv1d_kernel_size", paper(), func(c *Config) { c.SLSTMBlock.SLSTM.Conv1dKernelSize = math.MaxInt }},
		{"slstm_block.feedforward.proj_factor", paper(), func(c *Config) { c.SLSTMBlock.FeedForward.ProjFactor = math.Inf(1) }},
		{"ffn_round_up_to_multiple_of", large(), func(c *Config) { c.Large.FFNRoundUpToMultipleOf = math.MaxInt }},
		{"qk_dim_factor", large(), func(c *Config) { c.Large.QKDimFactor = 1e300 }},
		{"v_dim_factor", large(), func(c *Config) { c.Large.VDimFactor = 1e12 }},
		{"ffn_proj_factor", large(), func(c *Config) { c.Large.FFNProjFactor = 1e12 }},
	} {
		if err := c.cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		c.edit(&c.cfg)
		if err := c.cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), c.field+" ") || !strings.Contains(err.Error(), "most") {
			t.Errorf("%s: the error is %v", c.field, err)
		}
	}
}

// TestConfigPassesOverWhatIsForAGPU reads the fields of the official README.
func TestConfigPassesOverWhatIsForAGPU(t *testing.T) {
	_, err := ParseConfig([]byte(`{"vocab_size": 50304, "context_length": 256, "num_blocks": 7, "embedding_dim": 128, "slstm_at": [1], "_seed": 3,
		"mlstm_block": {"mlstm": {"conv1d_kernel_size": 4, "qkv_proj_blocksize": 4, "num_heads": 4}},
		"slstm_block": {"slstm": {"backend": "cuda", "num_heads": 4, "conv1d_kernel_size": 4, "bias_init": "powerlaw_blockdependent"},
		"feedforward": {"proj_factor": 1.3, "act_fn": "gelu"}}}`))
	if err != nil {
		t.Error(err)
	}
}
