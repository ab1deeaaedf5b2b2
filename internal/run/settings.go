package run

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// Settings has all settings that determine a run. It is saved in the run's
// folder and can be given as a file.
type Settings struct {
	// Name returns what messages call a setting, given its name in JSON: for a
	// program with flags, the flag. Nil means the name in JSON.
	Name func(setting string) string `json:"-"`

	Tuning

	Data     []string `json:"data"` // none: the Go standard library's source
	MaxBytes int      `json:"max_bytes"`
	Val      float64  `json:"val"`
	Cache    string   `json:"cache"`  // a folder; empty: tokens stay in memory
	Tokens   string   `json:"tokens"` // chars, bytes, bpe, or a saved vocabulary
	Rare     int      `json:"rare"`
	Vocab    int      `json:"vocab"` // of bpe

	// Model's vocab_size is set when the text has been read.
	Model xlstm.Config `json:"model"`

	Batch       int     `json:"batch"`
	Length      int     `json:"length"`
	Steps       int     `json:"steps"`
	Accumulate  int     `json:"accumulate"`
	Carry       bool    `json:"carry"`
	Reset       bool    `json:"reset_documents,omitempty"`
	LR          float64 `json:"lr"`
	MinLR       float64 `json:"min_lr"`
	Warmup      int     `json:"warmup"`
	Beta2       float64 `json:"beta2"`
	WeightDecay float64 `json:"weight_decay"`
	Clip        float64 `json:"clip"`
	NonFinite   string  `json:"non_finite"` // stop or skip
	Seed        uint64  `json:"seed"`

	EvalEvery   int     `json:"eval_every"`
	EvalBatches int     `json:"eval_batches"` // 0: the whole held-out part
	Patience    int     `json:"patience"`
	SaveEvery   int     `json:"save_every"`
	Prompt      string  `json:"prompt"`
	SampleChars int     `json:"sample_chars"`
	Temperature float64 `json:"temperature"`
	TopP        float64 `json:"top_p"`
}

func (s Settings) name(setting string) string {
	if s.Name == nil {
		return setting
	}
	return s.Name(setting)
}

// Settings returns the settings of the preset.
func (p Preset) Settings() Settings {
	return Settings{
		MaxBytes: 2 << 20, Val: 0.05, Tokens: p.Tokens, Rare: 10, Vocab: 1024,
		Model: p.Config(1),
		Batch: p.Batch, Length: p.Length, Steps: p.Steps, Accumulate: 1,
		LR: p.LR, MinLR: p.LR / 10, Warmup: p.Warmup, Beta2: 0.95, WeightDecay: 0.1, Clip: 1, NonFinite: "stop", Seed: 1,
		EvalEvery: 100, EvalBatches: 16, SaveEvery: 500, SampleChars: 200, Temperature: 0.7, TopP: 0.95,
	}
}

// ReadSettings reads a file of settings over those given.
func ReadSettings(path string, over Settings) (Settings, error) {
	data, err := files.ReadVerified(path, files.MaxSettings)
	if err != nil {
		return over, errors.Wrap(err, "reading the settings")
	}
	data = files.WithoutMark(data)
	// A block that the file's model does not have must not stay from the preset.
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) == nil && fields["model"] != nil {
		over.Model.MLSTMBlock, over.Model.SLSTMBlock = nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&over); err != nil {
		return over, errors.Wrapf(err, "reading the settings from %s", path)
	}
	if d.More() {
		return over, errors.Errorf("reading the settings from %s: there is more after the settings", path)
	}
	return over, nil
}

// MakeAbsolute makes the paths absolute: a run may be resumed from another folder.
func (s *Settings) MakeAbsolute() (err error) {
	if s.Data, err = absolute(s.Data...); err != nil {
		return err
	}
	if s.From != "" {
		if s.From, err = filepath.Abs(s.From); err != nil {
			return errors.Wrap(err, "finding the model to begin with")
		}
	}
	if s.Cache != "" {
		if s.Cache, err = filepath.Abs(s.Cache); err != nil {
			return errors.Wrap(err, "finding the folder for tokens")
		}
	}
	if !isVocabularyFile(s.Tokens) {
		return nil
	}
	if _, err := os.Stat(s.Tokens); err != nil {
		return errors.Errorf("%s is %q; it must be chars, bytes, bpe or the path of a tokenizer.json", s.name("tokens"), s.Tokens)
	}
	s.Tokens, err = filepath.Abs(s.Tokens)
	return errors.Wrap(err, "finding the vocabulary")
}

// absolute makes paths absolute.
func absolute(paths ...string) ([]string, error) {
	var out []string
	for _, p := range paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, errors.Wrapf(err, "finding %s", p)
		}
		out = append(out, abs)
	}
	return out, nil
}

// Check returns an error for the first invalid setting.
func (s Settings) Check() error {
	for _, c := range []struct {
		ok    bool
		name  string
		value any
		want  string
	}{
		{s.MaxBytes > 0, "max_bytes", s.MaxBytes, "positive"},
		{s.Val > 0 && s.Val < 1, "val", s.Val, "between 0 and 1"},
		{s.Cache == "" || len(s.Data) > 0, "cache", s.Cache, "empty without " + s.name("data") + ": the default text is small"},
		{s.Tokens != "", "tokens", s.Tokens, "chars, bytes, bpe or the path of a tokenizer.json"},
		{s.Tokens != tokensBPE || s.Vocab > 256, "vocab", s.Vocab, "at least 257: the bytes, and the end of a text"},
		{s.Batch > 0, "batch", s.Batch, "at least 1"},
		{s.Length > 0, "length", s.Length, "at least 1"},
		{s.Steps > 0, "steps", s.Steps, "at least 1"},
		{s.Accumulate > 0, "accumulate", s.Accumulate, "at least 1"},
		{s.LR > 0 && s.LR <= 1e6, "lr", s.LR, "positive and at most 1e6"},
		{s.MinLR >= 0 && s.MinLR <= s.LR, "min_lr", s.MinLR, "between 0 and " + s.name("lr")},
		{s.Warmup >= 0 && s.Warmup <= s.Steps, "warmup", s.Warmup, "between 0 and " + s.name("steps")},
		{s.Beta2 > 0 && s.Beta2 < 1, "beta2", s.Beta2, "between 0 and 1"},
		{s.WeightDecay >= 0, "weight_decay", s.WeightDecay, "at least 0"},
		{s.Clip >= 0, "clip", s.Clip, "at least 0"},
		{s.NonFinite == "stop" || s.NonFinite == "skip", "non_finite", s.NonFinite, "stop or skip"},
		{s.EvalEvery > 0, "eval_every", s.EvalEvery, "at least 1"},
		{s.EvalBatches >= 0, "eval_batches", s.EvalBatches, "at least 0"},
		{s.Patience >= 0, "patience", s.Patience, "at least 0"},
		{s.SaveEvery > 0, "save_every", s.SaveEvery, "at least 1"},
		{s.SampleChars >= 0, "sample_chars", s.SampleChars, "at least 0"},
	} {
		if !c.ok {
			return errors.Errorf("%s is %v; it must be %s", s.name(c.name), c.value, c.want)
		}
	}
	if err := CheckSampler(xlstm.SamplerConfig{Temperature: s.Temperature, TopP: s.TopP}, s.name); err != nil {
		return err
	}
	if err := s.checkTuning(); err != nil {
		return err
	}
	cfg := s.Model
	cfg.VocabSize = max(1, cfg.VocabSize)
	return errors.Wrap(cfg.Validate(), "the model")
}
