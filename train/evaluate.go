package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/pkg/errors"
)

// evaluateFlags are those of the evaluate command.
type evaluateFlags struct {
	dir                string
	texts              []string
	batch, length      int
	byPosition, asJSON bool
	on                 reading
}

func parseEvaluate(args []string, c console) (e evaluateFlags, err error) {
	f := newFlags("evaluate", "Measure a model: on the part of its run's text that was held out, or on other texts.", c,
		"evaluate runs/small", "evaluate runs/small -data other.txt -length 1024", "evaluate runs/small -by-position -length 16384")
	f.Func("data", dataUsage+" (default: the run's held-out part)", func(v string) error {
		e.texts = append(e.texts, v)
		return nil
	})
	f.IntVar(&e.batch, "batch", 0, "sequences at once (default: the run's, or 8)")
	f.IntVar(&e.length, "length", 0, "tokens in a sequence, each of which begins without memory (default: the run's, or 256)")
	f.BoolVar(&e.byPosition, "by-position", false, "print the loss by the position in a sequence, of whatever length in the same memory; a run keeps it for its report")
	f.BoolVar(&e.asJSON, "json", false, "with -by-position, print a line of JSON for every range of positions")
	e.on.register(f)
	if e.dir, err = parseWithFolder(f, args); err == nil && e.asJSON && !e.byPosition {
		err = errors.New("-json is for the loss by position: give -by-position too, or leave -json out")
	}
	return e, err
}

// evaluateCommand measures a model on a text.
func evaluateCommand(ctx context.Context, args []string, c console) error {
	e, err := parseEvaluate(args, c)
	if err != nil {
		return err
	}
	lm, closeDevice, err := e.on.load(e.dir, c.err)
	if err != nil {
		return err
	}
	defer closeDevice()
	model, tok := lm.Model(), lm.Tokenizer()
	set, err := runOf(e.dir)
	if err != nil {
		return err
	}
	e.batch, e.length = cmp.Or(e.batch, set.Batch, 8), cmp.Or(e.length, set.Length, 256)
	tokens, lengths, free, err := textToMeasure(ctx, e.dir, set, e.texts, tok, c.progress)
	if err != nil {
		return err
	}
	defer free()
	if e.byPosition {
		by, err := run.MeasureByPosition(ctx, model, set, tok, tokens, e.batch, e.length)
		if err != nil {
			return err
		}
		return e.tellPositions(by, set.Batch > 0, c.out)
	}
	m, err := e.measure(ctx, model, set, tok, tokens, lengths)
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

// measure measures the model on windows of the text.
func (e evaluateFlags) measure(ctx context.Context, model *xlstm.Model, set run.Settings, tok data.Tokenizer, tokens data.Tokens, lengths *data.Lengths) (run.Measured, error) {
	windows, err := data.WindowsOf(tokens, e.batch, e.length, 0)
	if err != nil {
		return run.Measured{}, err
	}
	bounds, err := run.BoundariesOf(set, tok)
	if err != nil {
		return run.Measured{}, err
	}
	p, err := model.Compile(xlstm.ProgramConfig{Batch: e.batch, Steps: e.length, Loss: true, WithResets: set.Reset})
	if err != nil {
		return run.Measured{}, err
	}
	defer p.Close()
	return run.Measure(ctx, p, windows, bounds, lengths)
}

// tellPositions prints the loss by position, and keeps it in the folder of a run.
func (e evaluateFlags) tellPositions(by []xlstm.PositionLoss, ofRun bool, out io.Writer) error {
	if err := printByPosition(out, by, e.asJSON); err != nil || !ofRun {
		return err
	}
	return run.KeepPositions(e.dir, by)
}

// printByPosition prints the loss by position as a table, or as lines of JSON.
func printByPosition(out io.Writer, by []xlstm.PositionLoss, asJSON bool) error {
	if !asJSON {
		fmt.Fprintf(out, "%15s  %12s  %12s\n", "positions", "loss, nats", "tokens")
	}
	for _, p := range by {
		if asJSON {
			if err := json.NewEncoder(out).Encode(p); err != nil {
				return errors.Wrap(err, "printing the loss by position")
			}
			continue
		}
		fmt.Fprintf(out, "%15s  %12.4f  %12s\n", fmt.Sprintf("%d–%d", p.From, p.To-1), p.Nats, numbers.Commas(p.Targets))
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
