package run

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// What a run shows of itself. None of it is needed to continue: where it cannot be
// written, for example on a full disk, a run prints a warning and continues.

// tell shows a step: to the listener, to TensorBoard and, after an evaluation, as
// curves and a sample.
func (r *Session) tell(ctx context.Context, rec Record, better bool) {
	r.listen.Step(rec)
	if r.events != nil {
		if err := r.events.step(rec); err != nil {
			r.endEvents(err)
		}
	}
	if rec.Val == nil {
		return
	}
	r.listen.Evaluation(rec, better)
	r.show(ctx, rec)
}

// endEvents gives TensorBoard up after an error.
func (r *Session) endEvents(err error) {
	r.warn("No more events are written for TensorBoard", err)
	r.events.file.Close()
	r.events = nil
}

// show draws the curves and lets the model write a little.
func (r *Session) show(ctx context.Context, rec Record) {
	// A run all of whose steps were skipped has no curve yet.
	if numbers.Finite(rec.Smoothed) {
		if err := drawCurves(r.dir, r.past.records(), r.about); err != nil {
			r.warn("The curves are not drawn", err)
		}
	}
	if r.s.SampleChars == 0 || !numbers.Finite(*rec.Val) {
		return
	}
	if err := r.writeSample(ctx, rec.Step); err != nil {
		r.warn("There is no sample of this step", err)
	}
}

// showMissing shows the results that are missing because the run was stopped
// after an evaluation from which it continues.
func (r *Session) showMissing(ctx context.Context, step int) {
	rec := r.past.last
	if rec == nil || rec.Step != step || rec.Val == nil || ctx.Err() != nil {
		return
	}
	if _, err := os.Stat(r.samplePath(step)); os.IsNotExist(err) {
		r.show(ctx, *rec)
	}
}

func (r *Session) samplePath(step int) string {
	return filepath.Join(r.dir, SamplesDir, fmt.Sprintf("step-%08d.txt", step))
}

// writeSample lets the model write a sample to a file of its own, so that a run
// that is resumed writes the same again. If the run ends with this step, an interrupt
// leaves it to that one.
func (r *Session) writeSample(ctx context.Context, step int) error {
	prompt := r.Prompt()
	sample, err := r.WriteOn(ctx, prompt, r.s.SampleChars, nil)
	if err != nil || ctx.Err() != nil {
		return err
	}
	if r.events != nil {
		if err := r.events.sample(step, prompt+sample); err != nil {
			r.endEvents(err)
		}
	}
	path := r.samplePath(step)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return errors.Wrap(err, "keeping a sample")
	}
	return files.WriteListed(path, []byte(prompt+sample+"\n"))
}
