package main

import (
	"fmt"
	"io"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// openModel loads a model and its vocabulary as loadModel does, and prints the
// model's warnings.
func openModel(path string, out io.Writer, opts ...xlstm.Option) (*xlstm.Model, data.Tokenizer, error) {
	model, tok, err := run.LoadModel(path, opts...)
	if err != nil {
		return nil, nil, err
	}
	warn(out, model.Warnings())
	return model, tok, nil
}

// warn prints warnings, a line each.
func warn(out io.Writer, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintln(out, "Note:", run.Visible(w))
	}
}
