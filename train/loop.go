package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// train runs the steps that are left, until the context is done or patience is
// at its end.
func (r *session) train(ctx context.Context) error {
	first := r.trainer.Steps()
	if err := r.openLog(first); err != nil {
		return err
	}
	r.showMissing(ctx, first)
	if first >= r.s.Steps {
		fmt.Fprintf(r.c.out, "All %s steps are done.\n", numbers.Commas(r.s.Steps))
		return nil
	}
	r.watch = newWatcher(r.c.out, r.s.Steps, first)
	var farewell string
	defer func() {
		r.watch.done()
		fmt.Fprint(r.c.out, farewell)
	}()
	before := r.at.Seconds
	for r.trainer.Steps() < r.s.Steps {
		start := time.Now()
		rec, bad, err := r.step()
		if err != nil {
			return err
		}
		r.at.Seconds += time.Since(start).Seconds()
		rec.Seconds = r.at.Seconds
		rec.TokensPerSecond = float64((rec.Step-first)*r.s.Accumulate*r.s.Batch*r.s.Length) / (r.at.Seconds - before)
		fatal := bad != nil && r.s.NonFinite == "stop"
		if farewell, err = r.after(ctx, rec, ctx.Err() != nil || fatal); err != nil {
			return err
		}
		if fatal {
			farewell = ""
			return errors.Wrapf(bad, "stopped, with nothing of the step applied (resume goes on with the next batch; -non-finite skip does so by itself, a lower -lr may do without)")
		}
		if farewell != "" {
			return nil
		}
	}
	return nil
}

// step takes one training step. bad is not nil if it was not finite, and so not
// applied.
func (r *session) step() (rec record, bad *xlstm.NonFiniteError, err error) {
	bytes := 0.0
	rep, err := r.trainer.Step(func() data.Batch {
		b := r.bounds.mark(r.batches.Next())
		n, _ := r.text.lengths.Of(b.Targets)
		bytes += n
		return b
	})
	r.at.Tokens += int64(rep.Tokens)
	rec = record{Step: rep.Step, Tokens: r.at.Tokens, Loss: rep.Loss, GradNorm: rep.GradNorm, LR: rep.LR}
	rec.Bits = data.BitsPerByte(rep.Loss*float64(rep.Targets), int(math.Round(bytes)))
	if errors.As(err, &bad) {
		rec.Skipped, err = bad.Error(), nil
	}
	rec.Smoothed = r.smooth.add(rep.Loss)
	return rec, bad, err
}

// after does what follows a step: evaluation, log, checkpoint, and only then what
// a run can do without. If the run is to stop, it says why.
func (r *session) after(ctx context.Context, rec record, interrupted bool) (farewell string, err error) {
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
	r.past.add(rec)
	impatient := rec.Val != nil && r.s.Patience > 0 && r.at.Waited >= r.s.Patience
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
	r.tell(ctx, rec, better)
	switch {
	case last && interrupted:
		farewell = fmt.Sprintf("All %s steps are done. Judge the model with: %s\n", numbers.Commas(rec.Step), r.c.hint("evaluate", r.dir))
	case last:
	case interrupted:
		farewell = fmt.Sprintf("Stopped after step %s of %s. Go on with: %s\n", numbers.Commas(rec.Step), numbers.Commas(r.s.Steps), r.c.hint("resume", r.dir))
	case impatient:
		farewell = fmt.Sprintf("Stopped after step %s: no better held-out loss in %s.\n", numbers.Commas(rec.Step), numbers.Count(r.at.Waited, "evaluation"))
	}
	return farewell, nil
}
