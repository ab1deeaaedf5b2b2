package main

import (
	"fmt"
	"math"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/optim"
)

// session is a run while it goes on.
type session struct {
	dir     string
	s       settings
	c       console
	text    *corpus
	device  xlstm.Device // nil for the CPU
	model   *xlstm.Model
	trainer *xlstm.Trainer
	eval    *xlstm.Program
	writer  *xlstm.Generator
	batches data.Batcher
	bounds  boundaries
	held    *data.Windows // of the held-out part, that evaluations measure
	bigram  measured      // there
	at      position
	log     *runLog
	smooth  *smoother
	past    *history
	watch   *watcher
	about   about
	events  *eventLog // nil without TensorBoard
}

// position is where a run stands, besides what the trainer knows.
type position struct {
	Tokens   int64   `json:"tokens"`
	Seconds  float64 `json:"seconds"`
	Best     float64 `json:"best"` // lowest held-out loss, 0 before the first
	BestStep int     `json:"best_step"`
	Waited   int     `json:"waited"`             // evaluations since the best
	Smoothed *number `json:"smoothed,omitempty"` // average of the losses, nil in checkpoints that leave it to the log
}

// newSession builds everything a run needs, at its beginning, but its folder.
// Its model is on device, nil for the CPU.
func newSession(s settings, txt *corpus, device xlstm.Device, c console) (*session, error) {
	r := &session{s: s, c: c, text: txt, device: device}
	if err := r.build(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *session) build() (err error) {
	if err := r.openText(); err != nil { // first: a text that does not do costs no compiling
		return err
	}
	if r.model, err = xlstm.New(r.s.Model, xlstm.WithSeed(r.s.Seed), xlstm.WithDevice(r.device)); err != nil {
		return err
	}
	return r.compile()
}

// openText prepares what the model trains on and is measured on.
func (r *session) openText() (err error) {
	s, txt := r.s, r.text
	if r.bounds, err = boundariesOf(s, txt.tokenizer); err != nil {
		return err
	}
	if s.Carry {
		r.batches, err = data.StreamsOf(txt.train, s.Batch, s.Length)
	} else {
		r.batches, err = data.RandomWindowsOf(txt.train, s.Batch, s.Length, s.Seed)
	}
	if err != nil {
		return err
	}
	if r.held, err = data.WindowsOf(txt.val, s.Batch, s.Length, s.EvalBatches); err != nil {
		return err
	}
	r.bigram, err = measureBigram(data.Head(txt.train, headTokens), r.held, txt.lengths, txt.tokenizer.Size())
	return err
}

// compile makes the trainer and the other programs of the model.
func (r *session) compile() error {
	s := r.s
	solver, err := optim.NewAdamW(optim.AdamWConfig{
		LR:    optim.WarmupCosine(s.LR, s.MinLR, s.Warmup, s.Steps),
		Beta1: 0.9, Beta2: s.Beta2, WeightDecay: s.WeightDecay, Decays: optim.OfficialDecay(s.Model.WeightDecayOnEmbedding), ClipNorm: s.Clip,
	})
	if err != nil {
		return err
	}
	if r.trainer, err = r.model.NewTrainer(solver, xlstm.TrainerConfig{Batch: s.Batch, Steps: s.Length, Accumulate: s.Accumulate, Carry: s.Carry, WithResets: s.Reset, Seed: s.Seed}); err != nil {
		return err
	}
	if r.eval, err = r.model.Compile(xlstm.ProgramConfig{Batch: s.Batch, Steps: s.Length, Loss: true, WithResets: s.Reset}); err != nil {
		return err
	}
	r.writer, err = r.model.NewGenerator()
	return err
}

// close closes what has been opened.
func (r *session) close() {
	if r.trainer != nil {
		r.trainer.Close()
	}
	if r.eval != nil {
		r.eval.Close()
	}
	if r.writer != nil {
		r.writer.Close()
	}
	if r.log != nil {
		r.log.close()
	}
	if r.events != nil {
		r.events.file.Close()
	}
}

// announce prints what is in force.
func (r *session) announce() {
	cfg, s, out := r.model.Config(), r.s, r.c.out
	fmt.Fprintf(out, "run     %s (all settings in %s)\n%s", r.dir, runFile, r.text.describe())
	fmt.Fprintf(out, "model   %s of width %s (sLSTM: %s), dropout %g, %s\n", numbers.Count(cfg.NumBlocks, "block"), numbers.Commas(cfg.EmbeddingDim), blockNames(cfg.SLSTMAt), cfg.Dropout, numbers.Count(r.model.NumParams(), "parameter"))
	order := "random windows"
	if s.Carry {
		order = "streams with carried state"
	}
	if s.Reset {
		order += ", reset at documents"
	}
	fmt.Fprintf(out, "train   %s of %d × %d × %s tokens, %s, seed %d\n", numbers.Count(s.Steps, "step"), s.Accumulate, s.Batch, numbers.Commas(s.Length), order, s.Seed)
	fmt.Fprintf(out, "        AdamW: rate %g after %s, then to %g; betas 0.9, %g; decay %g; clip %g\n", s.LR, numbers.Count(s.Warmup, "step"), s.MinLR, s.Beta2, s.WeightDecay, s.Clip)
	if done := r.trainer.Steps(); done > 0 {
		fmt.Fprintf(out, "resume  after step %s\n", numbers.Commas(done))
	}
	sample := ""
	if !shareOf(r.held).whole() {
		sample = ", evenly spread"
	}
	fmt.Fprintf(out, "judge   on %s%s, held out, every %s\n", shareOf(r.held), sample, numbers.Count(s.EvalEvery, "step"))
	fmt.Fprintf(out, "\nA bigram model has a loss of %.4f nats per token, %.4f bits per byte, on the same held-out batches.\n\n", r.bigram.nats, r.bigram.bitsPerByte())
}

// openLog opens the log after the given step, says what it lacks, and takes the
// average and the curves up again.
func (r *session) openLog(after int) (err error) {
	path := filepath.Join(r.dir, logFile)
	r.past = new(history)
	last := math.NaN()
	found, err := cutLog(path, after, func(rec record) {
		r.past.add(rec)
		last = rec.Smoothed
	})
	if err != nil {
		return err
	}
	if flaw := found.flaw(after); flaw != "" {
		fmt.Fprintf(r.c.err, "%s %s; the run goes on without them.\n", path, flaw)
	}
	if r.at.Smoothed != nil {
		last = float64(*r.at.Smoothed)
	}
	r.smooth = &smoother{after, last}
	r.log, err = openLog(path)
	return err
}
