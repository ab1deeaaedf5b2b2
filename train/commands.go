package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// finalChars is the length of the sample at the end of a run.
const finalChars = 600

// trainCommand begins a run.
func trainCommand(ctx context.Context, args []string, c console) error {
	s, dir, err := parseTrain(args, c)
	if err != nil {
		return err
	}
	txt, err := loadText(ctx, s, nil)
	if err != nil {
		return err
	}
	s.Model.VocabSize = txt.tokenizer.Size()
	if err := createRun(dir, s); err != nil {
		return err
	}
	return goOn(ctx, dir, s, txt, c)
}

// resumeCommand goes on with a run.
func resumeCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("resume", "Go on with a run that was stopped, as if it had never stopped.", c, "resume runs/small")
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	s, err := openRun(dir)
	if err != nil {
		return err
	}
	tok, err := runTokenizer(dir)
	if err != nil {
		return err
	}
	txt, err := loadText(ctx, s, tok)
	if err != nil {
		return err
	}
	return goOn(ctx, dir, s, txt, c)
}

// runTokenizer returns the vocabulary of a run's last checkpoint, nil if there is
// none yet: the same text gives the same again.
func runTokenizer(dir string) (data.Tokenizer, error) {
	found, err := checkpoints(dir, lastKind)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	for _, cp := range found {
		var tok data.Tokenizer
		if tok, err = loadTokenizer(cp.dir); err == nil {
			return tok, nil
		}
	}
	return nil, err
}

// goOn trains from where the run's folder is, judges and lets the model write.
func goOn(ctx context.Context, dir string, s settings, txt *corpus, c console) error {
	if txt.tokenizer.Size() != s.Model.VocabSize {
		return errors.Errorf("the text gives a vocabulary of %d, the run in %s has %d; it was begun with another text", txt.tokenizer.Size(), dir, s.Model.VocabSize)
	}
	r, err := newSession(dir, s, txt, c)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.restore(); err != nil {
		return err
	}
	r.announce()
	if err := r.train(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := r.judge(); err != nil {
		return err
	}
	prompt := s.Prompt
	if prompt == "" {
		prompt = txt.someLine()
	}
	sampler, err := xlstm.NewSampler(xlstm.SamplerConfig{Temperature: s.Temperature, TopP: s.TopP, Seed: s.Seed})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\nA sample:\n\n%s", prompt)
	r.writer.Reset()
	if _, err := complete(r.writer, sampler, txt.tokenizer, prompt, finalChars, nil, c.out); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\n\nMore: go run ./train sample %s\nCurve: %s\n", dir, dir+string(os.PathSeparator)+"loss.svg")
	return nil
}

// inspectCommand shows what a model costs: of a run, of a model's folder, or of
// the settings that flags give.
func inspectCommand(_ context.Context, args []string, c console) error {
	var from source
	f := newFlags("inspect", "Show a model's size, memory and cost: of a run, of a model's folder, or of the settings given.", c,
		"inspect runs/small", "inspect -preset medium", "inspect -model config.json -vocab 50304 -batch 1 -length 4096")
	from.register(f.FlagSet)
	var given []func(cfg *xlstm.Config) error
	for _, m := range newModelFlags() {
		f.Func(m.name, m.usage, func(v string) error {
			given = append(given, func(cfg *xlstm.Config) error { return m.set(cfg, v) })
			return m.set(new(xlstm.Config), v)
		})
	}
	vocab := f.Int("vocab", 65, "vocabulary of a model that is given by settings")
	batch := f.Int("batch", 8, "sequences in a batch")
	length := f.Int("length", 256, "tokens in a sequence")
	folder, err := parseFolder(f, args)
	if err != nil {
		return err
	}
	cfg, err := configOf(folder, from, *vocab)
	if err != nil {
		return err
	}
	for _, set := range given {
		if err := set(&cfg); err != nil {
			return err
		}
	}
	return printInspect(c.out, cfg, *batch, *length)
}

// configOf returns the configuration in a folder, or without one of the
// settings.
func configOf(folder string, from source, vocab int) (xlstm.Config, error) {
	if folder == "" {
		s, err := from.load()
		s.Model.VocabSize = vocab
		return s.Model, err
	}
	if _, err := os.Stat(filepath.Join(folder, runFile)); err == nil {
		s, err := openRun(folder)
		return s.Model, err
	}
	data, err := os.ReadFile(filepath.Join(folder, "config.json"))
	if err != nil {
		return xlstm.Config{}, errors.Errorf("%s is neither a run nor a model: it has no %s and no config.json", folder, runFile)
	}
	cfg, err := xlstm.ParseConfig(data)
	return cfg, errors.Wrapf(err, "%s", folder)
}
