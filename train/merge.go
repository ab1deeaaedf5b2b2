package main

import (
	"context"
	"fmt"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/chat"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// mergeCommand writes a model that needs no adapters.
func mergeCommand(_ context.Context, args []string, c console) error {
	f := newFlags("merge", "Write the best model of a run, or the model of a folder, with its adapters merged into the weights, to another folder.", c, "merge runs/tuned -o models/tuned")
	out := f.String("o", "", "the folder to write, which must not exist")
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	if *out == "" {
		return errors.Errorf("merge needs a folder to write: %s", c.hint("merge", dir, "-o", "FOLDER"))
	}
	lm, err := openModel(dir, c.err)
	if err != nil {
		return err
	}
	defer lm.Close()
	template, err := chat.ReadTemplate(lm.Dir())
	if err != nil {
		return err
	}
	err = files.WriteDir(*out, func(tmp string) error {
		if err := lm.Model().Save(tmp, xlstm.SaveConfig{}); err != nil {
			return err
		}
		if err := data.WriteTokenizer(tmp, lm.Tokenizer()); err != nil {
			return err
		}
		return chat.WriteTemplate(tmp, template)
	})
	if err != nil {
		return errors.Wrapf(err, "writing %s", *out)
	}
	_, err = fmt.Fprintf(c.out, "%s in %s\n", numbers.Count(lm.Model().NumParams(), "parameter"), *out)
	return err
}
