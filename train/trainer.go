package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
)

// trainer is a run: the model, compiled to train and to evaluate, the solver and
// the batches.
type trainer struct {
	s       settings
	text    *text
	model   *xlstm.Model
	program *xlstm.Program
	eval    *xlstm.Program
	solver  *optim.AdamW
	batches data.Batcher
	state   *xlstm.State // of the streams, nil for random windows
}

func newTrainer(s settings, cfg xlstm.Config, txt *text) (*trainer, error) {
	t := &trainer{s: s, text: txt}
	var err error
	if t.model, err = xlstm.New(cfg, xlstm.WithSeed(s.seed)); err != nil {
		return nil, err
	}
	if t.solver, err = optim.NewAdamW(optim.AdamWConfig{
		LR:    optim.WarmupCosine(s.lr, s.lr/10, min(s.warmup, s.steps/2), s.steps),
		Beta1: 0.9, Beta2: 0.95, WeightDecay: s.decay, Decays: optim.OfficialDecay(cfg.WeightDecayOnEmbedding), ClipNorm: s.clip,
	}); err != nil {
		return nil, err
	}
	shape := xlstm.ProgramConfig{Batch: s.batch, Steps: s.length}
	shape.Loss = true
	if t.eval, err = t.model.Compile(shape); err != nil {
		return nil, err
	}
	shape.Grad, shape.Training, shape.Carry = true, true, s.carry
	if t.program, err = t.model.Compile(shape); err != nil {
		return nil, err
	}
	if !s.carry {
		t.batches, err = data.NewRandomWindows(txt.train, s.batch, s.length, s.seed)
		return t, err
	}
	if t.batches, err = data.NewStreams(txt.train, s.batch, s.length); err != nil {
		return nil, err
	}
	t.state, err = t.model.NewState(s.batch)
	return t, err
}

func (t *trainer) close() {
	t.program.Close()
	t.eval.Close()
}

// announce prints what is in force, and what a bigram model achieves.
func (t *trainer) announce(out io.Writer) error {
	cfg := t.model.Config()
	fmt.Fprintf(out, "text    %s: %d documents, %d characters, %d distinct\n", t.text.source, t.text.documents, t.text.characters, t.text.tokenizer.Size())
	fmt.Fprintf(out, "        %d to train on, %d held out\n", len(t.text.train), len(t.text.val))
	fmt.Fprintf(out, "model   %d blocks of width %d, %d parameters\n", cfg.NumBlocks, cfg.EmbeddingDim, t.model.NumParams())
	fmt.Fprintf(out, "train   %d steps of %d × %d characters, learning rate %g, seed %d, %d cores\n", t.s.steps, t.s.batch, t.s.length, t.s.lr, t.s.seed, cores())
	bigram, err := data.BigramLoss(t.text.train, t.text.val, t.text.tokenizer.Size())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nA bigram model has a loss of %.3f nats (%.3f bits) per character on the held-out part.\n\n", bigram, data.BitsPerToken(bigram))
	return nil
}

// train runs the steps, or as many as it is given the time for.
func (t *trainer) train(ctx context.Context, out io.Writer) error {
	fmt.Fprintf(out, "%7s %10s %10s %10s %10s %8s\n", "step", "loss", "held out", "grad norm", "char/s", "time")
	start := time.Now()
	var sum float64
	var count int
	for step := 1; step <= t.s.steps; step++ {
		loss, err := t.step(step)
		if err != nil {
			return errors.Wrapf(err, "step %d", step)
		}
		sum, count = sum+loss, count+1
		last := step == t.s.steps || ctx.Err() != nil
		if step != 1 && step%10 != 0 && !last {
			continue
		}
		held := ""
		if step%t.s.every == 0 || last {
			v, err := t.heldOut(t.s.evalBatches)
			if err != nil {
				return err
			}
			held = fmt.Sprintf("%.4f", v)
		}
		elapsed := time.Since(start)
		speed := float64(step*t.s.batch*t.s.length) / elapsed.Seconds()
		fmt.Fprintf(out, "%7d %10.4f %10s %10.3f %10.0f %8s\n", step, sum/float64(count), held, t.solver.GradNorm(), speed, elapsed.Round(time.Second))
		sum, count = 0, 0
		if ctx.Err() != nil && step < t.s.steps {
			fmt.Fprintf(out, "interrupted after %d of %d steps\n", step, t.s.steps)
			return nil
		}
	}
	return nil
}

// step trains on the next batch and returns its loss.
func (t *trainer) step(step int) (float64, error) {
	b := t.batches.Next()
	if t.state != nil && b.Fresh {
		t.state.Reset()
	}
	t.program.SetDropout(int(t.s.seed), step)
	if err := t.program.Run(b.Inputs, b.Targets, t.state); err != nil {
		return 0, err
	}
	loss, err := t.program.Loss()
	if err != nil {
		return 0, err
	}
	return loss, t.solver.Step(t.program.ValueGrads())
}

// heldOut returns the mean loss over the held-out part, or over the first
// batches of it if maxBatches is not 0.
func (t *trainer) heldOut(maxBatches int) (float64, error) {
	windows, err := data.NewWindows(t.text.val, t.s.batch, t.s.length, maxBatches)
	if err != nil {
		return 0, err
	}
	var sum float64
	var count int
	for b := range windows.All() {
		if err := t.eval.Run(b.Inputs, b.Targets, nil); err != nil {
			return 0, err
		}
		loss, err := t.eval.Loss()
		if err != nil {
			return 0, err
		}
		n := b.Counted()
		sum, count = sum+loss*float64(n), count+n
	}
	return sum / float64(count), nil
}

// judge prints the loss on the whole held-out part.
func (t *trainer) judge(out io.Writer) error {
	loss, err := t.heldOut(0)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nOn all %d held-out characters: loss %.4f nats, perplexity %.3f, %.4f bits per character.\n",
		len(t.text.val)-1, loss, data.Perplexity(loss), data.BitsPerToken(loss))
	return nil
}

// write prints a sample.
func (t *trainer) write(out io.Writer) error {
	if t.s.chars == 0 {
		return nil
	}
	prompt := t.s.prompt
	if prompt == "" {
		prompt = t.text.someLine()
	}
	g, err := t.model.NewGenerator()
	if err != nil {
		return err
	}
	defer g.Close()
	sampler, err := xlstm.NewSampler(xlstm.SamplerConfig{Temperature: t.s.temperature, TopP: t.s.topP, Seed: t.s.seed})
	if err != nil {
		return err
	}
	if err := g.Read(t.text.tokenizer.Encode(prompt)...); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nA sample, after %q:\n\n", prompt)
	for range t.s.chars {
		token, err := g.Next(sampler)
		if err != nil {
			return err
		}
		fmt.Fprint(out, t.text.tokenizer.Decode([]int{token}))
	}
	fmt.Fprintln(out)
	return nil
}
