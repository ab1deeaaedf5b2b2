package run

import (
	"context"
	"math"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// Ending is the reason why the steps of a run ended.
type Ending int

// The reasons: the last step was taken now or in an earlier process, the
// context was done (possibly during the last step), or patience was exhausted.
const (
	Finished Ending = iota + 1
	FinishedBefore
	Interrupted
	InterruptedAtLast
	Impatient
)

// Train runs the remaining steps until the context is done or patience is
// exhausted. A step that is not finite ends it with an *xlstm.NonFiniteError,
// unless the settings skip such steps; the step is not applied.
func (r *Session) Train(ctx context.Context) (why Ending, err error) {
	why, err = r.takeSteps(ctx)
	if !r.Writes() {
		return why, err
	}
	if noted := r.noteEnd(); err == nil {
		err = noted
	}
	return why, err
}

func (r *Session) takeSteps(ctx context.Context) (why Ending, err error) {
	first := r.trainer.Steps()
	if err := r.openLog(first); err != nil {
		return 0, err
	}
	if r.Writes() {
		r.showMissing(ctx, first)
	}
	if first >= r.s.Steps {
		return FinishedBefore, nil
	}
	r.listen.Begin(r.s.Steps, first)
	before := r.at.Seconds
	for why == 0 {
		start := time.Now()
		rec, bad, err := r.step()
		if err != nil {
			return 0, err
		}
		r.at.Seconds += time.Since(start).Seconds()
		rec.Seconds = r.at.Seconds
		rec.TokensPerSecond = float64((rec.Step-first)*r.s.Accumulate*r.s.Batch*r.s.Length) / (r.at.Seconds - before)
		fatal := bad != nil && r.s.NonFinite == "stop"
		if why, err = r.after(ctx, rec, ctx.Err() != nil || fatal); err != nil {
			return 0, err
		}
		if fatal {
			return 0, bad
		}
	}
	return why, nil
}

// step takes one training step. bad is not nil if it was not finite, and so not
// applied.
func (r *Session) step() (rec Record, bad *xlstm.NonFiniteError, err error) {
	bytes := 0.0
	rep, err := r.trainer.Step(func() data.Batch {
		b := r.bounds.Mark(r.batches.Next())
		n, _ := r.text.Lengths.Of(b.Targets)
		bytes += n
		return b
	})
	r.at.Tokens += int64(rep.Tokens)
	rec = Record{Step: rep.Step, Tokens: r.at.Tokens, Loss: rep.Loss, GradNorm: rep.GradNorm, LR: rep.LR}
	rec.Bits = data.BitsPerByte(rep.Loss*float64(rep.Targets), int(math.Round(bytes)))
	if errors.As(err, &bad) {
		rec.Skipped, err = bad.Error(), nil
	}
	rec.Smoothed = r.smooth.add(rep.Loss)
	return rec, bad, err
}

// after does what follows a step: evaluation, log, checkpoint, and only then what
// a run can do without. If the run ends with it, why is not 0.
func (r *Session) after(ctx context.Context, rec Record, stop bool) (why Ending, err error) {
	last := rec.Step == r.s.Steps
	better := false
	if rec.Step%r.s.EvalEvery == 0 || last {
		if better, err = r.evaluate(&rec); err != nil {
			return 0, err
		}
	}
	if stop, err = r.Agreed(stop); err != nil {
		return 0, err
	}
	if r.Writes() {
		if err := r.log.write(rec); err != nil {
			return 0, err
		}
		r.past.add(rec)
	}
	waited := rec.Val != nil && r.s.Patience > 0 && r.at.Waited >= r.s.Patience
	if better || rec.Step%r.s.SaveEvery == 0 || last || stop || waited {
		if err := r.save(); err != nil {
			return 0, err
		}
	}
	if better && r.Writes() {
		if err := r.saveBest(); err != nil {
			return 0, err
		}
	}
	if r.Writes() {
		if !stop { // an interrupt from here on ends the run at the next step, and a resumed run begins behind this one
			ctx = context.WithoutCancel(ctx)
		}
		r.tell(ctx, rec, better)
	}
	switch {
	case last && stop:
		return InterruptedAtLast, nil
	case last:
		return Finished, nil
	case stop:
		return Interrupted, nil
	case waited:
		return Impatient, nil
	}
	return 0, nil
}
