package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
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
	txt, err := loadFitting(ctx, s.fit, nil, c.out)
	if err != nil {
		return err
	}
	defer txt.close()
	s.fit.report(c.out)
	if s.verbose {
		txt.listLeft(c.out)
	}
	s.Model.VocabSize = txt.tokenizer.Size()
	s.Model.Large = ownTokens(s.settings, txt.tokenizer)
	device, closeDevice, err := s.on.open()
	if err != nil {
		return err
	}
	defer closeDevice()
	r, err := newSession(s.settings, txt, device, c)
	if err != nil {
		return err
	}
	defer r.close()
	if dir == "" {
		if dir, err = claimFolder("runs", s.preset); err != nil {
			return err
		}
	}
	unlock, err := beginRun(dir, s.settings, c)
	if err != nil {
		return err
	}
	defer unlock()
	return r.goOn(ctx, dir, c.hint(append([]string{"train"}, args...)...), s.tensorboard)
}

// resumeCommand goes on with a run.
func resumeCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("resume", "Go on with a run that was stopped, as if it had never stopped.", c, "resume runs/small")
	events := f.String("tensorboard", "", tensorboardUsage)
	var on onDevice
	on.register(f)
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	s, err := openRun(dir)
	if err != nil {
		return err
	}
	unlock, err := lockRun(dir)
	if err != nil {
		return err
	}
	defer unlock()
	tok, err := runTokenizer(dir, s.Model.VocabSize)
	if err != nil {
		return err
	}
	txt, err := loadText(ctx, s, tok, c.out)
	if err != nil {
		return err
	}
	defer txt.close()
	if txt.tokenizer.Size() != s.Model.VocabSize {
		return errors.Errorf("the text gives a vocabulary of %s, the run in %s has %s; it was begun with another text", numbers.Commas(txt.tokenizer.Size()), dir, numbers.Commas(s.Model.VocabSize))
	}
	device, closeDevice, err := on.open()
	if err != nil {
		return err
	}
	defer closeDevice()
	r, err := newSession(s, txt, device, c)
	if err != nil {
		return err
	}
	defer r.close()
	return r.goOn(ctx, dir, c.hint(append([]string{"resume"}, args...)...), *events)
}

// runTokenizer returns the vocabulary of a run's last checkpoint that has one for a
// model with so many tokens, nil if there is no checkpoint yet: the same text gives
// the same again.
func runTokenizer(dir string, vocab int) (data.Tokenizer, error) {
	found, err := checkpoints(dir, lastKind)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	for _, cp := range found {
		var tok data.Tokenizer
		tok, err = loadTokenizer(cp.dir)
		if err == nil && tok.Size() != vocab {
			err = errors.Errorf("the vocabulary in %s has %d tokens, the run %d; they do not belong together", cp.dir, tok.Size(), vocab)
		}
		if err == nil {
			return tok, nil
		}
	}
	return nil, err
}

// goOn trains from where the run's folder is, which is locked, as a command wants
// it, judges and lets the model write. With a folder for events it writes them too.
func (r *session) goOn(ctx context.Context, dir, command, events string) error {
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
	err := r.train(ctx)
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
	if err := r.report(ctx); err != nil {
		r.warn("There is no report", err)
	}
	if !numbers.Finite(loss) {
		return nil
	}
	prompt := r.prompt()
	fmt.Fprintf(r.c.out, "\nA sample:\n\n%s", prompt)
	r.writer.Reset()
	if _, err := complete(ctx, r.writer, r.text.tokenizer, r.sample(prompt, finalChars), r.c.out); err != nil {
		return err
	}
	fmt.Fprintf(r.c.out, "\n\nMore: %s\nCurve: %s\nReport: %s\n", r.c.hint("sample", r.dir), filepath.Join(r.dir, "loss.svg"), filepath.Join(r.dir, reportFile))
	return nil
}

// sample asks for a sample of a run.
func (r *session) sample(prompt string, tokens int) xlstm.Request {
	return xlstm.Request{
		Prompt: prompt, MaxTokens: tokens, Sampler: xlstm.SamplerConfig{
			Temperature: r.s.Temperature, TopP: r.s.TopP, Exclude: excluded(r.text.tokenizer, r.model), Seed: r.s.Seed,
		},
	}
}

// prompt is what samples begin with.
func (r *session) prompt() string {
	if r.s.Prompt != "" {
		return r.s.Prompt
	}
	return r.text.someLine()
}
