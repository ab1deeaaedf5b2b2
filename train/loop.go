package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
)

// session is a run while it goes on.
type session struct {
	dir     string
	s       settings
	c       console
	text    *corpus
	model   *xlstm.Model
	trainer *xlstm.Trainer
	eval    *xlstm.Program
	writer  *xlstm.Generator
	batches data.Batcher
	bigram  float64
	at      position
	log     *runLog
	smooth  *smoother
	watch   *watcher
}

// position is where a run stands, besides what the trainer knows.
type position struct {
	Tokens   int64   `json:"tokens"`
	Seconds  float64 `json:"seconds"`
	Best     float64 `json:"best"` // lowest held-out loss, 0 before the first
	BestStep int     `json:"best_step"`
	Waited   int     `json:"waited"` // evaluations since the best
}

// newSession builds everything a run needs, at its beginning.
func newSession(dir string, s settings, txt *corpus, c console) (*session, error) {
	r := &session{dir: dir, s: s, c: c, text: txt}
	var err error
	if r.model, err = xlstm.New(s.Model, xlstm.WithSeed(s.Seed)); err != nil {
		return nil, err
	}
	solver, err := optim.NewAdamW(optim.AdamWConfig{
		LR:    optim.WarmupCosine(s.LR, s.MinLR, s.Warmup, s.Steps),
		Beta1: 0.9, Beta2: s.Beta2, WeightDecay: s.WeightDecay, Decays: optim.OfficialDecay(s.Model.WeightDecayOnEmbedding), ClipNorm: s.Clip,
	})
	if err != nil {
		return nil, err
	}
	if r.trainer, err = r.model.NewTrainer(solver, xlstm.TrainerConfig{Batch: s.Batch, Steps: s.Length, Accumulate: s.Accumulate, Carry: s.Carry, Seed: s.Seed}); err != nil {
		return nil, err
	}
	if r.eval, err = r.model.Compile(xlstm.ProgramConfig{Batch: s.Batch, Steps: s.Length, Loss: true}); err != nil {
		return nil, err
	}
	if r.writer, err = r.model.NewGenerator(); err != nil {
		return nil, err
	}
	if s.Carry {
		r.batches, err = data.NewStreams(txt.train, s.Batch, s.Length)
	} else {
		r.batches, err = data.NewRandomWindows(txt.train, s.Batch, s.Length, s.Seed)
	}
	if err != nil {
		return nil, err
	}
	r.bigram, err = data.BigramLoss(txt.train, txt.val, txt.tokenizer.Size())
	return r, err
}

func (r *session) close() {
	r.trainer.Close()
	r.eval.Close()
	r.writer.Close()
	if r.log != nil {
		r.log.close()
	}
}

// announce prints what is in force.
func (r *session) announce() {
	cfg, t, s, out := r.model.Config(), r.text, r.s, r.c.out
	fmt.Fprintf(out, "run     %s (settings in %s)\n", r.dir, runFile)
	fmt.Fprintf(out, "text    %s: %d documents, %d characters, vocabulary %d\n", t.source, t.documents, t.characters, t.tokenizer.Size())
	fmt.Fprintf(out, "        %d tokens to train on, %d held out\n", len(t.train), len(t.val))
	fmt.Fprintf(out, "model   %d blocks of width %d (sLSTM: %s), %d parameters\n", cfg.NumBlocks, cfg.EmbeddingDim, blockNames(cfg.SLSTMAt), r.model.NumParams())
	fmt.Fprintf(out, "train   %d steps of %d × %d × %d tokens, AdamW, learning rate %g, seed %d\n", s.Steps, s.Accumulate, s.Batch, s.Length, s.LR, s.Seed)
	if done := r.trainer.Steps(); done > 0 {
		fmt.Fprintf(out, "resume  after step %d\n", done)
	}
	fmt.Fprintf(out, "\nA bigram model has a loss of %.4f nats per token on the held-out part.\n\n", r.bigram)
}

// train runs the steps that are left, until the context is done or patience is
// at its end.
func (r *session) train(ctx context.Context) error {
	first := r.trainer.Steps()
	if first >= r.s.Steps {
		fmt.Fprintf(r.c.out, "All %d steps are done.\n", r.s.Steps)
		return nil
	}
	if err := r.openLog(first); err != nil {
		return err
	}
	r.watch = newWatcher(r.c.out, r.s.Steps, first)
	var farewell string
	defer func() {
		r.watch.done()
		fmt.Fprint(r.c.out, farewell)
	}()
	before, start := r.at.Seconds, time.Now()
	for r.trainer.Steps() < r.s.Steps {
		rec, err := r.step()
		if err != nil {
			return err
		}
		r.at.Seconds = before + time.Since(start).Seconds()
		rec.Seconds = r.at.Seconds
		rec.TokensPerSecond = float64((rec.Step-first)*r.s.Accumulate*r.s.Batch*r.s.Length) / time.Since(start).Seconds()
		if farewell, err = r.after(rec, ctx.Err() != nil); err != nil || farewell != "" {
			return err
		}
	}
	return nil
}

// openLog opens the log after the given step and takes the average up again.
func (r *session) openLog(after int) (err error) {
	path := filepath.Join(r.dir, logFile)
	if r.log, err = openLog(path, after); err != nil {
		return err
	}
	records, err := readLog(path)
	r.smooth = newSmoother(records)
	return err
}

// step takes one training step.
func (r *session) step() (record, error) {
	rep, err := r.trainer.Step(r.batches.Next)
	r.at.Tokens += int64(rep.Tokens)
	rec := record{Step: rep.Step, Tokens: r.at.Tokens, Loss: rep.Loss, GradNorm: rep.GradNorm, LR: rep.LR}
	var bad *xlstm.NonFiniteError
	switch {
	case errors.As(err, &bad) && r.s.NonFinite == "skip":
		rec.Skipped = bad.Error()
		rec.Smoothed = r.smooth.add(rep.Loss)
		return rec, nil
	case bad != nil:
		return rec, errors.Wrapf(err, "nothing of the step was applied, and the checkpoints are as they were; resume with a lower learning rate, or skip such steps with -non-finite skip")
	case err != nil:
		return rec, err
	}
	rec.Smoothed = r.smooth.add(rep.Loss)
	return rec, nil
}

// after does what follows a step: evaluation, log, checkpoint. If the run is to
// stop, it says why.
func (r *session) after(rec record, interrupted bool) (farewell string, err error) {
	last := rec.Step == r.s.Steps
	better := false
	if rec.Step%r.s.EvalEvery == 0 || last {
		if better, err = r.evaluate(&rec); err != nil {
			return "", err
		}
	}
	if err := r.log.write(rec); err != nil {
		return "", err
	}
	r.watch.step(rec)
	if rec.Val != nil {
		r.watch.eval(rec, better)
		if err := r.show(rec); err != nil {
			return "", err
		}
	}
	impatient := r.s.Patience > 0 && r.at.Waited >= r.s.Patience
	if better || rec.Step%r.s.SaveEvery == 0 || last || interrupted || impatient {
		if err := r.save(); err != nil {
			return "", err
		}
	}
	if better {
		if err := r.saveBest(); err != nil {
			return "", err
		}
	}
	switch {
	case last:
	case interrupted:
		farewell = fmt.Sprintf("Stopped after step %d of %d. Go on with: go run ./train resume %s\n", rec.Step, r.s.Steps, r.dir)
	case impatient:
		farewell = fmt.Sprintf("Stopped after step %d: no better held-out loss in %d evaluations.\n", rec.Step, r.at.Waited)
	}
	return farewell, nil
}

// evaluate measures the held-out loss.
func (r *session) evaluate(rec *record) (better bool, err error) {
	loss, _, err := r.heldOut(r.s.EvalBatches)
	if err != nil {
		return false, err
	}
	rec.Val = &loss
	better = r.at.BestStep == 0 || loss < r.at.Best
	if better {
		r.at.Best, r.at.BestStep, r.at.Waited = loss, rec.Step, 0
	} else {
		r.at.Waited++
	}
	return better, nil
}

// heldOut returns the mean loss over the held-out part, or over its first
// batches.
func (r *session) heldOut(maxBatches int) (nats float64, targets int, err error) {
	windows, err := data.NewWindows(r.text.val, r.s.Batch, r.s.Length, maxBatches)
	if err != nil {
		return 0, 0, err
	}
	return r.eval.MeanLoss(windows.All())
}

// show draws the curves and lets the model write a little.
func (r *session) show(rec record) error {
	records, err := readLog(filepath.Join(r.dir, logFile))
	if err != nil {
		return err
	}
	// A run all of whose steps were skipped has no curve yet.
	if finite(rec.Smoothed) {
		if err := drawCurves(r.dir, records, baseline{name: "bigram", loss: r.bigram}); err != nil {
			return err
		}
	}
	if r.s.SampleChars == 0 {
		return nil
	}
	prompt := r.s.Prompt
	if prompt == "" {
		prompt = r.text.someLine()
	}
	sampler, err := xlstm.NewSampler(xlstm.SamplerConfig{Temperature: r.s.Temperature, TopP: r.s.TopP, Seed: r.s.Seed})
	if err != nil {
		return err
	}
	r.writer.Reset()
	sample, err := complete(r.writer, sampler, r.text.tokenizer, prompt, r.s.SampleChars, nil, nil)
	if err != nil {
		return err
	}
	return r.keepSample(rec.Step, prompt+sample)
}

// keepSample writes a sample to a file of its own, so that a run that is resumed
// writes the same again.
func (r *session) keepSample(step int, sample string) error {
	dir := filepath.Join(r.dir, samplesDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errors.Wrap(err, "keeping a sample")
	}
	return files.WriteFile(filepath.Join(dir, fmt.Sprintf("step-%08d.txt", step)), func(w io.Writer) error {
		_, err := fmt.Fprintln(w, sample)
		return err
	})
}

// The names of what goes along in a checkpoint.
const (
	extraPosition = "position"
	extraBatches  = "batches"
)

// save writes a checkpoint of the run.
func (r *session) save() error {
	at, err := json.Marshal(r.at)
	if err != nil {
		return errors.Wrap(err, "saving the position")
	}
	extra := map[string]string{extraPosition: string(at), extraBatches: base64.StdEncoding.EncodeToString(r.batches.State())}
	return writeCheckpoint(r.dir, lastKind, r.trainer.Steps(), keepLast, func(tmp string) error {
		if err := r.trainer.Save(tmp, extra); err != nil {
			return err
		}
		return saveTokenizer(tmp, r.text.tokenizer)
	})
}

// saveBest writes the model as the best so far.
func (r *session) saveBest() error {
	return writeCheckpoint(r.dir, bestKind, r.trainer.Steps(), 1, func(tmp string) error {
		if err := r.model.Save(tmp); err != nil {
			return err
		}
		return saveTokenizer(tmp, r.text.tokenizer)
	})
}

// restore brings the session to the newest checkpoint that can be read, or
// leaves it at the beginning if there is none.
func (r *session) restore() error {
	if err := files.CleanTemp(r.dir); err != nil {
		return err
	}
	found, err := checkpoints(r.dir, lastKind)
	if err != nil {
		return err
	}
	var firstErr error
	for _, cp := range found {
		err := r.restoreFrom(cp)
		if err == nil && r.at.BestStep == cp.step {
			// The run may have ended between writing this checkpoint and the best.
			err = r.saveBest()
		}
		if err == nil {
			return r.forgetLater(cp.step)
		}
		fmt.Fprintf(r.c.err, "%s cannot be read: %v\n", cp.dir, err)
		if firstErr == nil {
			firstErr = err
		}
	}
	return firstErr
}

func (r *session) restoreFrom(cp checkpoint) error {
	extra, err := r.trainer.Restore(cp.dir)
	if err != nil {
		return err
	}
	state, err := base64.StdEncoding.DecodeString(extra[extraBatches])
	if err != nil {
		return errors.Wrap(err, "the position in the data")
	}
	if err := r.batches.SetState(state); err != nil {
		return err
	}
	r.at = position{}
	return errors.Wrap(json.Unmarshal([]byte(extra[extraPosition]), &r.at), "the position of the run")
}

// forgetLater removes what was written after the step that a run resumes from:
// it will be written again, the same.
func (r *session) forgetLater(step int) error {
	for _, kind := range []string{lastKind, bestKind} {
		found, err := checkpoints(r.dir, kind)
		if err != nil {
			return err
		}
		for _, cp := range found {
			if cp.step <= step {
				continue
			}
			if err := os.RemoveAll(cp.dir); err != nil {
				return errors.Wrap(err, "removing a later checkpoint")
			}
		}
	}
	return nil
}

// judge prints the loss of the best model on the whole held-out part.
func (r *session) judge() error {
	found, err := checkpoints(r.dir, bestKind)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		if err := r.model.LoadWeights(filepath.Join(found[0].dir, weightsName)); err != nil {
			return err
		}
	}
	loss, n, err := r.heldOut(0)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.c.out, "\nThe best model (step %d) on all %d held-out tokens:\n", r.at.BestStep, n)
	printQuality(r.c.out, loss, n, r.text.tokenizer.Decode(r.text.val[1:]))
	return nil
}

// printQuality prints a loss in all its units. The text is what was predicted.
func printQuality(out io.Writer, nats float64, tokens int, predicted string) {
	total := nats * float64(tokens)
	chars := len([]rune(predicted))
	fmt.Fprintf(out, "loss %.4f nats per token, perplexity %.3f, %.4f bits per character, %.4f bits per byte\n",
		nats, data.Perplexity(nats), data.BitsPerChar(total, chars), data.BitsPerByte(total, len(predicted)))
	if math.IsNaN(nats) {
		fmt.Fprintln(out, "The model has diverged; try a lower learning rate.")
	}
}
