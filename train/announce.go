package main

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// announce prints the settings in effect.
func announce(out io.Writer, r *run.Session, txt *run.Corpus) {
	s := r.Settings()
	cfg := s.Model
	fmt.Fprintf(out, "run     %s (all settings in %s)\n", r.Folder(), run.SettingsFile)
	fmt.Fprintf(out, "text    %s\n", strings.Join(txt.Describe(), "\n        "))
	fmt.Fprintf(out, "model   %s (%s), dropout %g, %s\n", run.Size(cfg), cellsOf(cfg), cfg.Dropout, numbers.Count(r.NumParams(), "parameter"))
	order := "random windows"
	if s.Carry {
		order = "streams with carried state"
	}
	if s.Reset {
		order += ", reset at documents"
	}
	if s.From != "" {
		fmt.Fprintf(out, "from    %s, of which %s are trained%s\n", s.From, numbers.Count(r.NumTrained(), "number"), how(s.Tuning))
	}
	fmt.Fprintf(out, "train   %s of %d × %d × %s tokens, %s, seed %d\n", numbers.Count(s.Steps, "step"), s.Accumulate, s.Batch, numbers.Commas(s.Length), order, s.Seed)
	fmt.Fprintf(out, "        AdamW: rate %g after %s, then to %g; betas 0.9, %g; decay %g; clip %g\n", s.LR, numbers.Count(s.Warmup, "step"), s.MinLR, s.Beta2, s.WeightDecay, s.Clip)
	if n := r.Ranks(); n > 1 {
		fmt.Fprintf(out, "ranks   %d, with %s of every batch each\n", n, numbers.Count(s.Batch/n, "sequence"))
	}
	if done := r.Steps(); done > 0 {
		fmt.Fprintf(out, "resume  after step %s\n", numbers.Commas(done))
	}
	sample := ""
	if !r.HeldOut().Whole() {
		sample = ", evenly spread"
	}
	fmt.Fprintf(out, "judge   on %s%s, held out, every %s\n", r.HeldOut(), sample, numbers.Count(s.EvalEvery, "step"))
	bigram := r.BigramLoss()
	fmt.Fprintf(out, "\nA bigram model has a loss of %.4f nats per token, %.4f bits per byte, on the same held-out batches.\n\n", bigram.Nats, bigram.BitsPerByte())
}

// cellsOf says which blocks of a model have which cells.
func cellsOf(cfg xlstm.Config) string {
	if cfg.LSTM != nil {
		return "LSTM"
	}
	cells := "sLSTM: " + blockNames(cfg.SLSTMAt)
	if !cfg.LSTMAt.IsZero() {
		cells += "; LSTM: " + blockNames(cfg.LSTMAt)
	}
	if !cfg.SimplifiedAt.IsZero() {
		cells += "; simplified: " + blockNames(cfg.SimplifiedAt)
	}
	return cells
}

// how says what is trained of a model that a run begins with.
func how(t run.Tuning) string {
	switch {
	case t.LoRARank > 0:
		return fmt.Sprintf(", in adapters of rank %d", t.LoRARank)
	case len(t.Freeze) > 0:
		return ", without " + strings.Join(t.Freeze, ", ")
	}
	return ""
}

// listLeft prints the files that a text leaves out.
func listLeft(out io.Writer, txt *run.Corpus) {
	for _, f := range txt.Left {
		fmt.Fprintf(out, "left out: %s (%s)\n", f.Name, f.Reason)
	}
}

// printMeasured prints a loss in all its units.
func printMeasured(out io.Writer, m run.Measured) {
	fmt.Fprintf(out, "loss %.4f nats per token, perplexity %.3f, %.4f bits per character, %.4f bits per byte\n",
		m.Nats, data.Perplexity(m.Nats), data.BitsPerChar(m.Total(), m.Chars), m.BitsPerByte())
	if math.IsNaN(m.Nats) {
		fmt.Fprintln(out, "The model has diverged; try a lower learning rate.")
	}
}
