package main

import (
	"context"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
)

// evaluate measures the held-out loss.
func (r *session) evaluate(rec *record) (better bool, err error) {
	m, err := r.measure(context.Background(), r.held)
	if err != nil {
		return false, err
	}
	loss, bits := m.nats, m.bitsPerByte()
	rec.Val, rec.ValBits = &loss, &bits
	better = numbers.Finite(loss) && (r.at.BestStep == 0 || loss < r.at.Best)
	if better {
		r.at.Best, r.at.BestStep, r.at.Waited = loss, rec.Step, 0
	} else {
		r.at.Waited++
	}
	return better, nil
}

// measure measures the model at hand on windows of the held-out part.
func (r *session) measure(ctx context.Context, windows *data.Windows) (measured, error) {
	return measure(ctx, r.eval, windows, r.bounds, r.text.lengths)
}

// verdict is the loss on the whole held-out part of a run's best model, or of
// the model at hand if there is no best.
type verdict struct {
	measured
	bestStep int // of the best model, 0 without one
}

// judge measures the best model on the whole held-out part, or the model at hand if
// there is no best.
func (r *session) judge(ctx context.Context) (v verdict, err error) {
	found, err := checkpoints(r.dir, bestKind)
	if err != nil {
		return v, err
	}
	if len(found) > 0 {
		// After an error the weights are those at hand, as they were.
		flaw := r.model.LoadWeights(filepath.Join(found[0].dir, weightsName))
		if flaw == nil {
			v.bestStep = found[0].step
		} else if err := r.putAside(found[0], flaw); err != nil {
			return v, err
		}
	}
	all, err := data.WindowsOf(r.text.val, r.s.Batch, r.s.Length, 0)
	if err != nil {
		return v, err
	}
	if v.measured, err = r.measure(ctx, all); err != nil {
		return v, err
	}
	r.about.Judged = &judgement{number(v.nats), v.targets}
	return v, nil
}
