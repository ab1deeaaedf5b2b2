package run

import (
	"context"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
)

// evaluate measures the held-out loss.
func (r *Session) evaluate(rec *Record) (better bool, err error) {
	m, err := r.measure(context.Background(), r.held)
	if err != nil {
		return false, err
	}
	loss, bits := m.Nats, m.BitsPerByte()
	rec.Val, rec.ValBits = &loss, &bits
	better = numbers.Finite(loss) && (r.at.BestStep == 0 || loss < r.at.Best)
	if better {
		r.at.Best, r.at.BestStep, r.at.Waited = loss, rec.Step, 0
	} else {
		r.at.Waited++
	}
	return better, nil
}

// measure measures the current model on windows of the held-out part.
func (r *Session) measure(ctx context.Context, windows *data.Windows) (Measured, error) {
	return measureShared(ctx, r.eval, windows, r.bounds, r.text.Lengths, r.group)
}

// Verdict is the loss on the whole held-out part of a run's best model, or of
// the current model if there is no best one.
type Verdict struct {
	Measured
	BestStep int // of the best model, 0 without one
}

// Judge measures the best model on the whole held-out part, or the current
// model if there is no best one.
func (r *Session) Judge(ctx context.Context) (v Verdict, err error) {
	if r.Writes() {
		if v.BestStep, err = r.loadBest(); err != nil {
			return v, err
		}
	}
	if err := r.model.Share(r.group); err != nil {
		return v, err
	}
	all, err := data.WindowsOf(r.text.HeldOut, r.s.Batch, r.s.Length, 0)
	if err != nil {
		return v, err
	}
	if v.Measured, err = r.measure(ctx, all); err != nil {
		return v, err
	}
	r.about.Judged = &Judgement{Number(v.Nats), v.Targets}
	return v, nil
}

// loadBest loads the best model and returns its step. Without one, or after an
// error, the weights remain the current ones, and it returns 0.
func (r *Session) loadBest() (step int, err error) {
	found, err := rundir.Checkpoints(r.dir, rundir.BestKind)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	if flaw := r.model.LoadWeights(filepath.Join(found[0].Dir, WeightsFile)); flaw != nil {
		return 0, r.putAside(found[0], flaw)
	}
	return found[0].Step, nil
}
