package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/pkg/errors"
)

// quantizeCommand writes a model with packed weights.
func quantizeCommand(_ context.Context, args []string, c console) error {
	f := newFlags("quantize", "Write the best model of a run, or the model of a folder or of a file of weights, with weights in fewer bytes. The model that is written is mapped into memory when it is used, and is for reading and generating alone.", c,
		"quantize runs/small -to int8 -o small-int8", "quantize xLSTM-7b -to int4 -o xLSTM-7b-int4")
	to := f.String("to", "", "how the weights are stored: bf16, int8 or int4")
	out := f.String("o", "", "the folder to write, which must not have a model")
	shard := f.Int64("shard-bytes", xlstm.DefaultQuantizedShard, "maximum size of a file")
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	if *to == "" || *out == "" {
		return errors.Errorf("quantize needs a format and a folder to write: %s", c.hint("quantize", dir, "-to", "int8", "-o", "FOLDER"))
	}
	from, err := rundir.ModelPath(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return errors.Wrap(err, "making the folder")
	}
	if err := xlstm.Quantize(from, *out, xlstm.QuantizeConfig{Weights: xlstm.WeightFormat(*to), MaxShardSize: *shard}); err != nil {
		return err
	}
	size, err := bytesIn(*out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s holds the model in %s: %s.\n", *out, *to, numbers.Human(float64(size), "B"))
	return err
}

// bytesIn returns the size of the files of tensors in a folder.
func bytesIn(dir string) (size int64, err error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	for _, path := range found {
		info, err := os.Stat(path)
		if err != nil {
			return 0, errors.Wrap(err, "measuring what was written")
		}
		size += info.Size()
	}
	return size, errors.Wrap(err, "measuring what was written")
}
