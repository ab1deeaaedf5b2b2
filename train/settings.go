package main

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/pkg/errors"
)

// settings is what the command line says.
type settings struct {
	data     []string
	maxBytes int
	val      float64
	rare     int

	config string
	dim    int
	blocks int
	heads  int
	slstm  string
	drop   float64

	batch, length, steps int
	lr                   float64
	warmup               int
	decay, clip          float64
	carry                bool
	seed                 uint64

	every, evalBatches int
	prompt             string
	chars              int
	temperature        float64
	topP               float64
}

func parse(args []string) (settings, error) {
	var s settings
	f := flag.NewFlagSet("train", flag.ContinueOnError)
	f.Func("data", "a text: file, folder or glob; may be given more than once (default: the Go standard library)", func(v string) error {
		s.data = append(s.data, v)
		return nil
	})
	f.IntVar(&s.maxBytes, "max-bytes", 2<<20, "read at most this much of the default text")
	f.Float64Var(&s.val, "val", 0.05, "share of the text that is held out, at its end")
	f.IntVar(&s.rare, "rare", 10, "characters seen less often than this become one unknown character")
	f.StringVar(&s.config, "config", "", "read the model's configuration from a JSON file (official names); the flags for the model then do not count")
	f.IntVar(&s.dim, "dim", 128, "width of the model (embedding_dim)")
	f.IntVar(&s.blocks, "blocks", 4, "number of blocks")
	f.IntVar(&s.heads, "heads", 4, "number of heads")
	f.StringVar(&s.slstm, "slstm-at", "1", "which blocks are sLSTM blocks: indices with commas, all, or none")
	f.Float64Var(&s.drop, "dropout", 0, "dropout")
	f.IntVar(&s.batch, "batch", 8, "sequences per step")
	f.IntVar(&s.length, "length", 128, "characters per sequence")
	f.IntVar(&s.steps, "steps", 600, "training steps")
	f.Float64Var(&s.lr, "lr", 4e-3, "peak learning rate (AdamW)")
	f.IntVar(&s.warmup, "warmup", 40, "steps of linear warm-up; a cosine to a tenth of the peak follows")
	f.Float64Var(&s.decay, "weight-decay", 0.1, "weight decay")
	f.Float64Var(&s.clip, "clip", 1, "bound on the gradient's norm; 0 for none")
	f.BoolVar(&s.carry, "carry", false, "train on contiguous streams with carried state instead of random windows")
	f.Uint64Var(&s.seed, "seed", 1, "seed of everything random")
	f.IntVar(&s.every, "every", 100, "steps between evaluations")
	f.IntVar(&s.evalBatches, "eval-batches", 16, "batches of an evaluation during training; at the end all of the held-out part is read")
	f.StringVar(&s.prompt, "prompt", "", "what the sample begins with (default: a line of the held-out part)")
	f.IntVar(&s.chars, "chars", 600, "length of the sample in characters; 0 for none")
	f.Float64Var(&s.temperature, "temperature", 0.7, "sampling temperature; 0 takes the likeliest character")
	f.Float64Var(&s.topP, "top-p", 0.95, "sample from the likeliest characters that have this probability together")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		return s, errors.Errorf("%q is not a flag; texts are given with -data", f.Arg(0))
	}
	return s, s.check()
}

func (s settings) check() error {
	for _, c := range []struct {
		ok          bool
		name, value string
		want        string
	}{
		{s.maxBytes > 0, "max-bytes", strconv.Itoa(s.maxBytes), "positive"},
		{s.val > 0 && s.val < 1, "val", strconv.FormatFloat(s.val, 'g', -1, 64), "between 0 and 1"},
		{s.batch > 0, "batch", strconv.Itoa(s.batch), "at least 1"},
		{s.length > 0, "length", strconv.Itoa(s.length), "at least 1"},
		{s.steps > 0, "steps", strconv.Itoa(s.steps), "at least 1"},
		{s.every > 0, "every", strconv.Itoa(s.every), "at least 1"},
		{s.evalBatches > 0, "eval-batches", strconv.Itoa(s.evalBatches), "at least 1"},
		{s.lr > 0, "lr", strconv.FormatFloat(s.lr, 'g', -1, 64), "positive"},
		{s.warmup >= 0, "warmup", strconv.Itoa(s.warmup), "at least 0"},
		{s.clip >= 0, "clip", strconv.FormatFloat(s.clip, 'g', -1, 64), "at least 0"},
		{s.chars >= 0, "chars", strconv.Itoa(s.chars), "at least 0"},
	} {
		if !c.ok {
			return errors.Errorf("-%s is %s; it must be %s", c.name, c.value, c.want)
		}
	}
	return nil
}

// model returns the model's configuration for a vocabulary of the given size.
func (s settings) model(vocab int) (xlstm.Config, error) {
	if s.config != "" {
		return s.modelFile(vocab)
	}
	cfg := xlstm.DefaultConfig()
	cfg.VocabSize, cfg.EmbeddingDim, cfg.NumBlocks, cfg.ContextLength = vocab, s.dim, s.blocks, s.length
	cfg.Dropout = s.drop
	cfg.MLSTMBlock.MLSTM.NumHeads, cfg.SLSTMBlock.SLSTM.NumHeads = s.heads, s.heads
	switch s.slstm {
	case "all":
		cfg.SLSTMAt = xlstm.AllBlocks()
	case "none", "":
	default:
		for _, part := range strings.Split(s.slstm, ",") {
			i, err := strconv.Atoi(strings.TrimSpace(part))
			if err != nil {
				return cfg, errors.Errorf("-slstm-at is %q; it must be block indices with commas, all, or none", s.slstm)
			}
			cfg.SLSTMAt.Indices = append(cfg.SLSTMAt.Indices, i)
		}
	}
	return cfg, cfg.Validate()
}

// modelFile reads the configuration from a file. Its vocabulary is the text's.
func (s settings) modelFile(vocab int) (xlstm.Config, error) {
	data, err := os.ReadFile(s.config)
	if err != nil {
		return xlstm.Config{}, errors.Wrap(err, "reading -config")
	}
	cfg, err := xlstm.ParseConfigFor(data, vocab)
	return cfg, errors.Wrapf(err, "-config %s", s.config)
}

// cores is the number of processors in use.
func cores() int { return runtime.GOMAXPROCS(0) }
