package main

import (
	"fmt"
	"io"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// openModel opens a model with its vocabulary and prints the model's warnings.
func openModel(path string, out io.Writer, opts ...xlstm.Option) (*xlstm.LM, error) {
	lm, err := xlstm.Open(path, opts...)
	if err != nil {
		return nil, err
	}
	warn(out, lm.Model().Warnings())
	return lm, nil
}

// warn prints warnings, a line each.
func warn(out io.Writer, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintln(out, "Note:", run.Visible(w))
	}
}
