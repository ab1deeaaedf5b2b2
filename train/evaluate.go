package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/pkg/errors"
)

// evaluateCommand measures a model on a text.
func evaluateCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("evaluate", "Measure a model: on the part of its run's text that was held out, or on other texts.", c,
		"evaluate runs/small", "evaluate runs/small -data other.txt -length 1024")
	var texts []string
	f.Func("data", dataUsage+" (default: the run's held-out part)", func(v string) error {
		texts = append(texts, v)
		return nil
	})
	batch := f.Int("batch", 0, "sequences at once (default: the run's, or 8)")
	length := f.Int("length", 0, "tokens in a sequence, each of which begins without memory (default: the run's, or 256)")
	var on reading
	on.register(f)
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	lm, closeDevice, err := on.load(dir, c.err)
	if err != nil {
		return err
	}
	defer closeDevice()
	model, tok := lm.Model(), lm.Tokenizer()
	set, err := runOf(dir)
	if err != nil {
		return err
	}
	*batch, *length = cmp.Or(*batch, set.Batch, 8), cmp.Or(*length, set.Length, 256)
	tokens, lengths, free, err := textToMeasure(ctx, dir, set, texts, tok, c.progress)
	if err != nil {
		return err
	}
	defer free()
	windows, err := data.WindowsOf(tokens, *batch, *length, 0)
	if err != nil {
		return err
	}
	bounds, err := run.BoundariesOf(set, tok)
	if err != nil {
		return err
	}
	p, err := model.Compile(xlstm.ProgramConfig{Batch: *batch, Steps: *length, Loss: true, WithResets: set.Reset})
	if err != nil {
		return err
	}
	defer p.Close()
	m, err := run.Measure(ctx, p, windows, bounds, lengths)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%s: ", numbers.Count(m.Targets, "token"))
	printMeasured(c.out, m)
	if u := run.UnknownShare(tok, tokens); u > 0 {
		fmt.Fprintf(c.out, "%s of the characters are unknown to the model and count as one.\n", numbers.Percent(u))
	}
	return nil
}

// runOf returns the settings of a run, and empty ones for a model without one.
func runOf(path string) (run.Settings, error) {
	if !rundir.IsRun(path) {
		return run.Settings{}, nil
	}
	return run.SettingsAt(path)
}

// textToMeasure returns the tokens of the texts, or of the run's held-out part,
// how much text they stand for, and what to call after use.
func textToMeasure(ctx context.Context, dir string, set run.Settings, texts []string, tok data.Tokenizer, progress run.Progress) (tokens data.Tokens, lengths *data.Lengths, free func() error, err error) {
	if len(texts) > 0 {
		docs, err := data.Load(data.DefaultMaxBytes, texts...)
		if err != nil {
			return nil, nil, nil, err
		}
		ids, size, err := data.EncodeIDs(ctx, tok, docs.Pieces(tok))
		return ids, data.NewLengths(tok, ids, size.Bytes), func() error { return nil }, err
	}
	if set.Batch == 0 {
		return nil, nil, nil, errors.Errorf("%s is a model without a run; say with -data what to measure it on", dir)
	}
	txt, err := run.LoadText(ctx, set, tok, progress)
	if err != nil {
		return nil, nil, nil, err
	}
	return txt.HeldOut, txt.Lengths, txt.Close, nil
}
