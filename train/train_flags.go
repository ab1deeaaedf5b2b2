package main

import (
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/pkg/errors"
)

// tensorboardUsage describes -tensorboard.
const tensorboardUsage = "also write the run as events for TensorBoard, into a folder of this folder"

// registerSettings adds the flags for everything but the model, with the values
// at hand as defaults.
func registerSettings(f *flags, s *run.Settings) {
	data := s.Data
	f.Func("data", dataUsage+" (default: the Go standard library's source)", func(v string) error {
		data = append(data, v)
		s.Data = data
		return nil
	})
	special, freeze, on := s.Special, s.Freeze, s.LoRAOn
	f.Func("special", "a special token to add to the vocabulary of -from; may be given more than once", func(v string) error {
		special = append(special, v)
		s.Special = special
		return nil
	})
	f.Func("freeze", "leave parameters as they are whose names match this `PATTERN`, such as '*.blocks.0.*'; may be given more than once", func(v string) error {
		freeze = append(freeze, v)
		s.Freeze = freeze
		return nil
	})
	f.IntVar(&s.LoRARank, "lora-rank", s.LoRARank, "train adapters of this rank (LoRA) instead of the parameters; 0 for none")
	f.Float64Var(&s.LoRAAlpha, "lora-alpha", s.LoRAAlpha, "their scale, over the rank (default: the rank)")
	f.Func("lora-on", "give adapters to the linear maps alone whose weights' names match this `PATTERN`; may be given more than once (default: all but the head)", func(v string) error {
		on = append(on, v)
		s.LoRAOn = on
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
	f.StringVar(&s.Prompt, "prompt", s.Prompt, "the beginning of samples (default: a line of the held-out part)")
	f.IntVar(&s.SampleChars, "sample-tokens", s.SampleChars, "tokens in a sample along the way; 0 for none")
	f.renamed("sample-chars", "sample-tokens")
	f.Float64Var(&s.Temperature, "temperature", s.Temperature, "sampling temperature; 0 takes the likeliest token")
	f.Float64Var(&s.TopP, "top-p", s.TopP, "sample from the likeliest tokens that have this probability together")
}

// source says where settings come from before flags: a preset, a file of
// settings, a file with a model's configuration.
type source struct{ preset, config, model, from string }

func (s *source) register(f *flag.FlagSet) {
	var names []string
	for _, p := range run.Presets() {
		names = append(names, p.Name)
	}
	f.StringVar(&s.preset, "preset", "small", "a `NAME` of settings to begin from: "+strings.Join(names, ", "))
	f.StringVar(&s.config, "config", "", "read all settings from a JSON file, such as a run's run.json; flags override it")
	f.StringVar(&s.model, "model", "", "read the model's configuration from a file with the official field names: config.json, config.yaml, or those beside a model")
}

// registerFrom adds the flag for the model to begin with.
func (s *source) registerFrom(f *flag.FlagSet) {
	f.StringVar(&s.from, "from", "", "begin with the weights and the vocabulary of a run or a model: a `FOLDER` or a file of weights")
}

// load returns the settings that flags then change.
func (s source) load() (run.Settings, error) {
	p, err := run.PresetNamed(s.preset)
	if err != nil {
		return run.Settings{}, err
	}
	set := p.Settings()
	set.Name = flagOf
	if s.config != "" {
		if set, err = run.ReadSettings(s.config, set); err != nil {
			return set, err
		}
	}
	if s.model != "" {
		if s.from != "" {
			return set, errors.New("-from brings the model's configuration; leave -model out")
		}
		// The text that it is trained on says how large its vocabulary is.
		if set.Model, err = xlstm.ReadConfig(s.model, 1); err != nil {
			return set, errors.Wrap(err, "reading -model")
		}
	}
	if s.from != "" {
		if err := set.BeginFrom(s.from); err != nil {
			return set, errors.Wrap(err, "reading -from")
		}
	}
	return set, nil
}

// aboutTrain describes the train command and its presets.
func aboutTrain() string {
	var b strings.Builder
	b.WriteString("Train a model. Presets, with the numbers of parameters for a vocabulary of 65 characters:\n\n")
	for _, p := range run.Presets() {
		fmt.Fprintf(&b, "  %-7s %s\n", p.Name, p.About)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// parsed is what the command line of the train command says.
type parsed struct {
	run.Settings
	preset      string
	tensorboard string // a folder for event files, or empty
	verbose     bool   // list the files that are left out
	on          training
	fit         *run.Fitter
}

// parseTrain reads the command line of the train command; out is empty if no
// folder was given.
func parseTrain(args []string, c console) (p *parsed, out string, err error) {
	p = new(parsed)
	// The first pass finds out what the flags are defaults to.
	var from source
	first := newFlags("train", "", console{out: io.Discard, err: io.Discard})
	from.register(first.FlagSet)
	from.registerFrom(first.FlagSet)
	var scratch run.Settings
	registerSettings(first, &scratch)
	newModelFlags().register(first.FlagSet, new(xlstm.Config))
	first.String("out", "", "")
	new(training).register(first)
	first.String("tensorboard", "", "")
	first.Bool("v", false, "")
	_ = first.Parse(args) // its errors come again, with the help
	p.preset = from.preset
	if p.Settings, err = from.load(); err != nil {
		return p, "", err
	}
	f := newFlags("train", aboutTrain(), c, "train", "-data shakespeare.txt -val 0.1 -steps 2000", "-preset base -carry -out runs/go-base", "-from runs/small -data mine.txt -lr 5e-4 -lora-rank 8", "-config runs/small/run.json -lr 2e-3 -out runs/again")
	from.register(f.FlagSet)
	from.registerFrom(f.FlagSet)
	registerSettings(f, &p.Settings)
	newModelFlags().register(f.FlagSet, &p.Model)
	f.StringVar(&out, "out", "", "folder for the run (default: runs/ and the preset's name, numbered)")
	f.StringVar(&p.tensorboard, "tensorboard", "", tensorboardUsage)
	f.BoolVar(&p.verbose, "v", false, "list the skipped files, with reasons")
	p.on.register(f)
	if err := f.Parse(args); err != nil {
		return p, "", err
	}
	if f.NArg() > 0 {
		return p, "", errors.Errorf("%q is not a flag; a text is given with -data: %s", f.Arg(0), c.hint("-data", f.Arg(0)))
	}
	if err := p.checkOrigin(f.FlagSet); err != nil {
		return p, "", err
	}
	p.fit = run.NewFitter(&p.Settings, givenBy(f.FlagSet, from.config != ""))
	derive(&p.Settings, f.FlagSet)
	p.fit.Warmup()
	if err := p.MakeAbsolute(); err != nil {
		return p, "", err
	}
	return p, out, p.Check()
}

// checkOrigin returns an error for a flag that would change what a model to begin
// with brings along.
func (p *parsed) checkOrigin(f *flag.FlagSet) (err error) {
	if p.From == "" {
		return nil
	}
	fixed := map[string]bool{"tokens": true, "vocab": true, "rare": true}
	for _, m := range newModelFlags() {
		fixed[m.name] = m.name != "dropout" && m.name != "embedding-dropout"
	}
	f.Visit(func(fl *flag.Flag) {
		if fixed[fl.Name] && err == nil {
			err = errors.Errorf("-%s is that of the model that -from names, and cannot be given", fl.Name)
		}
	})
	return err
}

// givenBy returns which settings must stay as they are: those of flags that were
// given, and all of a file.
func givenBy(f *flag.FlagSet, fromFile bool) func(setting string) bool {
	given := make(map[string]bool)
	f.Visit(func(fl *flag.Flag) { given[fl.Name] = true })
	return func(setting string) bool { return fromFile || given[strings.TrimPrefix(flagOf(setting), "-")] }
}

// flagOf returns the flag for a setting.
func flagOf(setting string) string {
	switch setting {
	case "sample_chars":
		return "-sample-tokens"
	case "special_tokens":
		return "-special"
	}
	return "-" + strings.ReplaceAll(setting, "_", "-")
}

// derive fits what was not given to what was.
func derive(s *run.Settings, f *flag.FlagSet) {
	if given := givenBy(f, false); given("lr") && !given("min_lr") {
		s.MinLR = s.LR / 10
	}
	s.Model.ContextLength = s.Length
}
