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

// evaluateCommand measures a model on a text.
func evaluateCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("evaluate", "Measure a model: on the part of its run's text that was held out, or on other texts.", c,
		"evaluate runs/small", "evaluate runs/small -data other.txt -length 1024")
	var texts []string
	f.Func("data", "a text to measure on: file, folder or glob; may be given more than once (default: the run's held-out part)", func(v string) error {
		texts = append(texts, v)
		return nil
	})
	batch := f.Int("batch", 8, "sequences at once")
	length := f.Int("length", 256, "tokens in a sequence; each begins without memory of the others")
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	model, tok, err := loadModel(dir)
	if err != nil {
		return err
	}
	tokens, err := textToMeasure(ctx, dir, texts, tok)
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
	loss, n, err := p.MeanLoss(windows.All())
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%d tokens: ", n)
	printQuality(c.out, loss, n, tok.Decode(tokens[1:]))
	return nil
}

// textToMeasure returns the tokens of the texts, or of the run's held-out part.
func textToMeasure(ctx context.Context, dir string, texts []string, tok data.Tokenizer) ([]int, error) {
	if len(texts) > 0 {
		corpus, err := data.Load(data.DefaultMaxBytes, texts...)
		if err != nil {
			return nil, err
		}
		return tok.Encode(corpus.Text()), nil
	}
	if _, err := os.Stat(filepath.Join(dir, runFile)); os.IsNotExist(err) {
		return nil, errors.Errorf("%s is a model without a run; say with -data what to measure it on", dir)
	}
	s, err := openRun(dir)
	if err != nil {
		return nil, err
	}
	txt, err := loadText(ctx, s, tok)
	if err != nil {
		return nil, err
	}
	return txt.val, nil
}
