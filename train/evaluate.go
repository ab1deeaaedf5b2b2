package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// evaluateCommand measures a model on a text.
func evaluateCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("evaluate", "Measure a model: on the part of its run's text that was held out, or on other texts.", c,
		"evaluate runs/small", "evaluate runs/small -data other.txt -length 1024")
	var texts []string
	f.Func("data", "a text to measure on: file, folder or glob; may be given more than once (default: the run's held-out part)", func(v string) error {
		texts = append(texts, v)
		return nil
	})
	batch := f.Int("batch", 0, "sequences at once (default: the run's, or 8)")
	length := f.Int("length", 0, "tokens in a sequence, each of which begins without memory (default: the run's, or 256)")
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	model, tok, err := loadModel(dir)
	if err != nil {
		return err
	}
	run, err := runOf(dir)
	if err != nil {
		return err
	}
	*batch, *length = cmp.Or(*batch, run.Batch, 8), cmp.Or(*length, run.Length, 256)
	tokens, predicted, err := textToMeasure(ctx, dir, run, texts, tok)
	if err != nil {
		return err
	}
	windows, err := data.NewWindows(tokens, *batch, *length, 0)
	if err != nil {
		return err
	}
	p, err := model.Compile(xlstm.ProgramConfig{Batch: *batch, Steps: *length, Loss: true})
	if err != nil {
		return err
	}
	defer p.Close()
	loss, n, err := meanLoss(ctx, p, windows)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%d tokens: ", n)
	printQuality(c.out, loss, n, predicted)
	if u := unknown(tok, tokens); u > 0 {
		fmt.Fprintf(c.out, "%.2f %% of the characters are unknown to the model and count as one.\n", 100*u)
	}
	return nil
}

// runOf returns the settings of a run, and empty ones for a model's folder.
func runOf(dir string) (settings, error) {
	if _, err := os.Stat(filepath.Join(dir, runFile)); os.IsNotExist(err) {
		return settings{}, nil
	}
	return openRun(dir)
}

// textToMeasure returns the tokens of the texts, or of the run's held-out part,
// and the text that those after the first stand for.
func textToMeasure(ctx context.Context, dir string, run settings, texts []string, tok data.Tokenizer) (tokens []int, predicted string, err error) {
	if len(texts) > 0 {
		docs, err := data.Load(data.DefaultMaxBytes, texts...)
		if err != nil {
			return nil, "", err
		}
		tokens = tok.Encode(docs.Text())
		return tokens, lastTokens(tok, docs.Text(), len(tokens)-1), nil
	}
	if run.Batch == 0 {
		return nil, "", errors.Errorf("%s is a model without a run; say with -data what to measure it on", dir)
	}
	txt, err := loadText(ctx, run, tok)
	if err != nil {
		return nil, "", err
	}
	return txt.val, txt.heldText(), nil
}
