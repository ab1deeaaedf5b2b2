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

// trainCommand begins a run. Its folder is made when everything else is ready.
func trainCommand(ctx context.Context, args []string, c console) error {
	s, dir, err := parseTrain(args, c)
	if err != nil {
		return err
	}
	txt, err := loadText(ctx, s.settings, nil)
	if err != nil {
		return err
	}
	s.Model.VocabSize = txt.tokenizer.Size()
	r, err := newSession(s.settings, txt, c)
	if err != nil {
		return err
	}
	defer r.close()
	if dir == "" {
		if dir, err = claimFolder("runs", s.preset); err != nil {
			return err
		}
	}
	if err := createRun(dir, s.settings); err != nil {
		return err
	}
	return r.goOn(ctx, dir, commandLine("train", args), s.tensorboard)
}

// resumeCommand goes on with a run.
func resumeCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("resume", "Go on with a run that was stopped, as if it had never stopped.", c, "resume runs/small")
	events := f.String("tensorboard", "", tensorboardUsage)
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
	if txt.tokenizer.Size() != s.Model.VocabSize {
		return errors.Errorf("the text gives a vocabulary of %d, the run in %s has %d; it was begun with another text", txt.tokenizer.Size(), dir, s.Model.VocabSize)
	}
	r, err := newSession(s, txt, c)
	if err != nil {
		return err
	}
	defer r.close()
	return r.goOn(ctx, dir, commandLine("resume", args), *events)
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

// goOn trains from where the run's folder is, as a command wants it, judges and
// lets the model write. With a folder for events it writes them too.
func (r *session) goOn(ctx context.Context, dir, command, events string) error {
	unlock, err := lockRun(dir)
	if err != nil {
		return err
	}
	defer unlock()
	r.dir = dir
	if err := r.restore(); err != nil {
		return err
	}
	if err := r.noteStart(command); err != nil {
		return err
	}
	if err := r.openEvents(events); err != nil {
		return err
	}
	r.announce()
	err = r.train(ctx)
	if noted := r.noteEnd(); err == nil {
		err = noted
	}
	if err != nil || ctx.Err() != nil {
		return err
	}
	return r.finish(ctx)
}

// finish judges a run that has come to its end, lets the model write and writes
// the report.
func (r *session) finish(ctx context.Context) error {
	loss, err := r.judge(ctx)
	if err != nil {
		return err
	}
	if err := r.report(); err != nil || !finite(loss) {
		return err
	}
	prompt := r.prompt()
	sampler, err := xlstm.NewSampler(xlstm.SamplerConfig{Temperature: r.s.Temperature, TopP: r.s.TopP, Seed: r.s.Seed})
	if err != nil {
		return err
	}
	fmt.Fprintf(r.c.out, "\nA sample:\n\n%s", prompt)
	r.writer.Reset()
	if _, err := complete(ctx, r.writer, sampler, r.text.tokenizer, prompt, finalChars, nil, r.c.out); err != nil {
		return err
	}
	fmt.Fprintf(r.c.out, "\n\nMore: go run ./train sample %s\nCurve: %s\nReport: %s\n", quoted(r.dir), filepath.Join(r.dir, "loss.svg"), filepath.Join(r.dir, reportFile))
	return nil
}

// prompt is what samples begin with.
func (r *session) prompt() string {
	if r.s.Prompt != "" {
		return r.s.Prompt
	}
	return r.text.someLine()
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
	vocab := f.Int("vocab", 0, "vocabulary of a model that is given by settings (default: what the file says, or 65)")
	batch := f.Int("batch", 8, "sequences in a batch")
	length := f.Int("length", 256, "tokens in a sequence")
	folder, err := parseFolder(f, args)
	if err != nil {
		return err
	}
	cfg, err := configOf(folder, from)
	if err != nil {
		return err
	}
	for _, set := range given {
		if err := set(&cfg); err != nil {
			return err
		}
	}
	switch {
	case *vocab > 0:
		cfg.VocabSize = *vocab
	case cfg.VocabSize <= 1:
		cfg.VocabSize = 65
	}
	return printInspect(c.out, cfg, *batch, *length)
}

// configOf returns the configuration in a folder, or without one of the
// settings.
func configOf(folder string, from source) (xlstm.Config, error) {
	if folder == "" {
		s, err := from.load()
		return s.Model, err
	}
	if from.config != "" || from.model != "" {
		return xlstm.Config{}, errors.Errorf("inspect takes a folder or -config or -model, not both; leave %s out", folder)
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
