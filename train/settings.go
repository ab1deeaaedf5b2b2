package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// settings is everything that decides a run. It is saved in the run's folder and
// can be given as a file (-config).
type settings struct {
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

// settingsOf returns the settings of a preset.
func settingsOf(p preset) settings {
	return settings{
		MaxBytes: 2 << 20, Val: 0.05, Tokens: p.tokens, Rare: 10, Vocab: 1024,
		Model: p.cfg(1),
		Batch: p.batch, Length: p.length, Steps: p.steps, Accumulate: 1,
		LR: p.lr, MinLR: p.lr / 10, Warmup: p.warmup, Beta2: 0.95, WeightDecay: 0.1, Clip: 1, NonFinite: "stop", Seed: 1,
		EvalEvery: 100, EvalBatches: 16, SaveEvery: 500, SampleChars: 200, Temperature: 0.7, TopP: 0.95,
	}
}

// register adds the flags for everything but the model, with the values at hand
// as defaults.
func (s *settings) register(f *flags) {
	data := s.Data
	f.Func("data", dataUsage+" (default: the Go standard library's source)", func(v string) error {
		data = append(data, v)
		s.Data = data
		return nil
	})
	f.IntVar(&s.MaxBytes, "max-bytes", s.MaxBytes, "read at most this much of the default text")
	f.Float64Var(&s.Val, "val", s.Val, "share of the text that is held out, at its end")
	f.StringVar(&s.Cache, "cache", s.Cache, "a folder for the tokens of -data, which may then be larger than memory: they are made once and read from there")
	f.StringVar(&s.Tokens, "tokens", s.Tokens, "what a token is: chars, bytes, bpe (subwords, learned from the text), or the path of a tokenizer.json")
	f.IntVar(&s.Vocab, "vocab", s.Vocab, "size of the vocabulary that -tokens bpe learns")
	f.IntVar(&s.Rare, "rare", s.Rare, "characters seen less often than this become one unknown character")
	f.IntVar(&s.Batch, "batch", s.Batch, "sequences in a batch")
	f.IntVar(&s.Length, "length", s.Length, "tokens in a sequence")
	f.IntVar(&s.Steps, "steps", s.Steps, "training steps")
	f.IntVar(&s.Accumulate, "accumulate", s.Accumulate, "batches whose gradients are averaged for one step")
	f.BoolVar(&s.Carry, "carry", s.Carry, "train on contiguous streams with carried state instead of random windows")
	f.BoolVar(&s.Reset, "reset-documents", s.Reset, "reset the state where a document begins, also within a sequence")
	f.Float64Var(&s.LR, "lr", s.LR, "peak learning rate of AdamW")
	f.Float64Var(&s.MinLR, "min-lr", s.MinLR, "learning rate at the end of the cosine")
	f.IntVar(&s.Warmup, "warmup", s.Warmup, "steps of linear warm-up; a cosine follows")
	f.Float64Var(&s.Beta2, "beta2", s.Beta2, "decay of AdamW's second moment")
	f.Float64Var(&s.WeightDecay, "weight-decay", s.WeightDecay, "weight decay")
	f.Float64Var(&s.Clip, "clip", s.Clip, "bound on the gradient's norm; 0 for none")
	f.StringVar(&s.NonFinite, "non-finite", s.NonFinite, "what to do with a step whose loss or gradient is not finite: stop or skip")
	f.Uint64Var(&s.Seed, "seed", s.Seed, "seed of everything random")
	f.IntVar(&s.EvalEvery, "eval-every", s.EvalEvery, "steps between evaluations on the held-out part")
	f.IntVar(&s.EvalBatches, "eval-batches", s.EvalBatches, "batches of such an evaluation; 0 for the whole held-out part")
	f.IntVar(&s.Patience, "patience", s.Patience, "stop after this many evaluations without a new best; 0 for never")
	f.IntVar(&s.SaveEvery, "save-every", s.SaveEvery, "steps between checkpoints")
	f.StringVar(&s.Prompt, "prompt", s.Prompt, "what samples begin with (default: a line of the held-out part)")
	f.IntVar(&s.SampleChars, "sample-tokens", s.SampleChars, "tokens in a sample along the way; 0 for none")
	f.renamed("sample-chars", "sample-tokens")
	f.Float64Var(&s.Temperature, "temperature", s.Temperature, "sampling temperature; 0 takes the likeliest token")
	f.Float64Var(&s.TopP, "top-p", s.TopP, "sample from the likeliest tokens that have this probability together")
}

// source says where settings come from before flags: a preset, a file of
// settings, a file with a model's configuration.
type source struct{ preset, config, model string }

func (s *source) register(f *flag.FlagSet) {
	var names []string
	for _, p := range presets() {
		names = append(names, p.name)
	}
	f.StringVar(&s.preset, "preset", "small", "a `NAME` of settings to begin from: "+strings.Join(names, ", "))
	f.StringVar(&s.config, "config", "", "read all settings from a JSON file, such as a run's run.json; flags still count")
	f.StringVar(&s.model, "model", "", "read the model's configuration from a file with the official field names: config.json, config.yaml, or those beside a model")
}

// load returns the settings that flags then change.
func (s source) load() (settings, error) {
	p, err := presetNamed(s.preset)
	if err != nil {
		return settings{}, err
	}
	set := settingsOf(p)
	if s.config != "" {
		if set, err = readSettings(s.config, set); err != nil {
			return set, err
		}
	}
	if s.model != "" {
		// The text that it is trained on says how large its vocabulary is.
		if set.Model, err = xlstm.ReadConfigFor(s.model, 1); err != nil {
			return set, errors.Wrap(err, "reading -model")
		}
	}
	return set, nil
}

// readSettings reads a file of settings over those given.
func readSettings(path string, over settings) (settings, error) {
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

// aboutTrain describes the train command and its presets.
func aboutTrain() string {
	var b strings.Builder
	b.WriteString("Train a model. Presets, with the numbers of parameters for a vocabulary of 65 characters:\n\n")
	for _, p := range presets() {
		fmt.Fprintf(&b, "  %-7s %s\n", p.name, p.about)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// parsed is what the command line of the train command says.
type parsed struct {
	settings
	preset      string
	tensorboard string // a folder for event files, or empty
	verbose     bool   // list the files that are left out
	on          onDevice
	fit         *fitter
}

// parseTrain reads the command line of the train command; out is empty if no
// folder was given.
func parseTrain(args []string, c console) (p *parsed, out string, err error) {
	p = new(parsed)
	// The first pass finds out what the flags are defaults to.
	var from source
	first := newFlags("train", "", console{out: io.Discard, err: io.Discard})
	from.register(first.FlagSet)
	var scratch settings
	scratch.register(first)
	newModelFlags().register(first.FlagSet, new(xlstm.Config))
	first.String("out", "", "")
	new(onDevice).register(first)
	first.String("tensorboard", "", "")
	first.Bool("v", false, "")
	_ = first.Parse(args) // its errors come again, with the help
	p.preset = from.preset
	if p.settings, err = from.load(); err != nil {
		return p, "", err
	}
	f := newFlags("train", aboutTrain(), c, "train", "-data shakespeare.txt -val 0.1 -steps 2000", "-preset base -carry -out runs/go-base", "-config runs/small/run.json -lr 2e-3 -out runs/again")
	from.register(f.FlagSet)
	p.register(f)
	newModelFlags().register(f.FlagSet, &p.Model)
	f.StringVar(&out, "out", "", "folder for the run (default: runs/ and the preset's name, numbered)")
	f.StringVar(&p.tensorboard, "tensorboard", "", tensorboardUsage)
	f.BoolVar(&p.verbose, "v", false, "list the files that are left out, and why")
	p.on.register(f)
	if err := f.Parse(args); err != nil {
		return p, "", err
	}
	if f.NArg() > 0 {
		return p, "", errors.Errorf("%q is not a flag; a text is given with -data: %s", f.Arg(0), c.hint("-data", f.Arg(0)))
	}
	p.fit = fitterOf(&p.settings, f.FlagSet, from.config != "")
	p.derive(f.FlagSet)
	p.fit.warmup()
	if err := p.makeAbsolute(); err != nil {
		return p, "", err
	}
	return p, out, p.check()
}

// makeAbsolute makes the paths absolute: a run may be resumed from another folder.
func (s *settings) makeAbsolute() (err error) {
	if s.Data, err = absolute(s.Data...); err != nil {
		return err
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
		return errors.Errorf("-tokens is %q; it must be chars, bytes, bpe or the path of a tokenizer.json", s.Tokens)
	}
	s.Tokens, err = filepath.Abs(s.Tokens)
	return errors.Wrap(err, "finding the vocabulary")
}

// derive fits what was not given to what was.
func (s *settings) derive(f *flag.FlagSet) {
	given := make(map[string]bool)
	f.Visit(func(fl *flag.Flag) { given[fl.Name] = true })
	if given["lr"] && !given["min-lr"] {
		s.MinLR = s.LR / 10
	}
	s.Model.ContextLength = s.Length
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

// check reports the first setting that makes no sense.
func (s settings) check() error {
	for _, c := range []struct {
		ok    bool
		name  string
		value any
		want  string
	}{
		{s.MaxBytes > 0, "max-bytes", s.MaxBytes, "positive"},
		{s.Val > 0 && s.Val < 1, "val", s.Val, "between 0 and 1"},
		{s.Cache == "" || len(s.Data) > 0, "cache", s.Cache, "empty without -data: the default text is small"},
		{s.Tokens != "", "tokens", s.Tokens, "chars, bytes, bpe or the path of a tokenizer.json"},
		{s.Tokens != tokensBPE || s.Vocab > 256, "vocab", s.Vocab, "at least 257: the bytes, and the end of a text"},
		{s.Batch > 0, "batch", s.Batch, "at least 1"},
		{s.Length > 0, "length", s.Length, "at least 1"},
		{s.Steps > 0, "steps", s.Steps, "at least 1"},
		{s.Accumulate > 0, "accumulate", s.Accumulate, "at least 1"},
		{s.LR > 0 && s.LR <= 1e6, "lr", s.LR, "positive and at most 1e6"},
		{s.MinLR >= 0 && s.MinLR <= s.LR, "min-lr", s.MinLR, "between 0 and lr"},
		{s.Warmup >= 0 && s.Warmup <= s.Steps, "warmup", s.Warmup, "between 0 and steps"},
		{s.Beta2 > 0 && s.Beta2 < 1, "beta2", s.Beta2, "between 0 and 1"},
		{s.WeightDecay >= 0, "weight-decay", s.WeightDecay, "at least 0"},
		{s.Clip >= 0, "clip", s.Clip, "at least 0"},
		{s.NonFinite == "stop" || s.NonFinite == "skip", "non-finite", s.NonFinite, "stop or skip"},
		{s.EvalEvery > 0, "eval-every", s.EvalEvery, "at least 1"},
		{s.EvalBatches >= 0, "eval-batches", s.EvalBatches, "at least 0"},
		{s.Patience >= 0, "patience", s.Patience, "at least 0"},
		{s.SaveEvery > 0, "save-every", s.SaveEvery, "at least 1"},
		{s.SampleChars >= 0, "sample-tokens", s.SampleChars, "at least 0"},
	} {
		if !c.ok {
			return errors.Errorf("-%s is %v; it must be %s", c.name, c.value, c.want)
		}
	}
	if err := checkSampler(xlstm.SamplerConfig{Temperature: s.Temperature, TopP: s.TopP}); err != nil {
		return err
	}
	cfg := s.Model
	cfg.VocabSize = max(1, cfg.VocabSize)
	return errors.Wrap(cfg.Validate(), "the model")
}
