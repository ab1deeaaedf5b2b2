package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// evaluate measures the held-out loss.
func (r *session) evaluate(rec *record) (better bool, err error) {
	loss, n, err := r.heldOut(context.Background(), r.s.EvalBatches)
	if err != nil {
		return false, err
	}
	bits := r.text.bitsPerByte(loss, n)
	rec.Val, rec.ValBits = &loss, &bits
	better = finite(loss) && (r.at.BestStep == 0 || loss < r.at.Best)
	if better {
		r.at.Best, r.at.BestStep, r.at.Waited = loss, rec.Step, 0
	} else {
		r.at.Waited++
	}
	return better, nil
}

// heldOut returns the mean loss over the held-out part, or over its first
// batches.
func (r *session) heldOut(ctx context.Context, maxBatches int) (nats float64, targets int, err error) {
	windows, err := data.WindowsOf(r.text.val, r.s.Batch, r.s.Length, maxBatches)
	if err != nil {
		return 0, 0, err
	}
	return meanLoss(ctx, r.eval, windows, r.bounds)
}

// judge prints the loss of the best model on the whole held-out part, or of the
// model at hand if there is no best, and returns it.
func (r *session) judge(ctx context.Context) (loss float64, err error) {
	found, err := checkpoints(r.dir, bestKind)
	if err != nil {
		return 0, err
	}
	which := "The model"
	if len(found) > 0 {
		// After an error the weights are those at hand, as they were.
		flaw := r.model.LoadWeights(filepath.Join(found[0].dir, weightsName))
		if flaw == nil {
			which = fmt.Sprintf("The best model (step %s)", commas(found[0].step))
		} else if err := r.putAside(found[0], flaw); err != nil {
			return 0, err
		}
	}
	loss, n, err := r.heldOut(ctx, 0)
	if err != nil {
		return 0, err
	}
	r.about.Judged = &judgement{number(loss), n}
	fmt.Fprintf(r.c.out, "\n%s on all %s held-out tokens:\n", which, commas(n))
	printQuality(r.c.out, loss, n, r.text.lengths, r.text.val)
	return loss, nil
}

// meanLoss is Program.MeanLoss, which an interrupt ends with an error.
func meanLoss(ctx context.Context, p *xlstm.Program, windows *data.Windows, bounds boundaries) (nats float64, targets int, err error) {
	nats, targets, err = p.MeanLoss(func(yield func(data.Batch) bool) {
		for b := range windows.All() {
			if ctx.Err() != nil || !yield(bounds.mark(b)) {
				return
			}
		}
	})
	if ctx.Err() != nil {
		return 0, 0, errors.New("interrupted while measuring")
	}
	return nats, targets, err
}

// printQuality prints a loss on the n tokens after the first in all its units.
func printQuality(out io.Writer, nats float64, n int, lengths *data.Lengths, tokens data.Tokens) {
	total := nats * float64(n)
	bytes, chars := lengths.OfTargets(tokens, n)
	fmt.Fprintf(out, "loss %.4f nats per token, perplexity %.3f, %.4f bits per character, %.4f bits per byte\n",
		nats, data.Perplexity(nats), data.BitsPerChar(total, chars), data.BitsPerByte(total, bytes))
	if math.IsNaN(nats) {
		fmt.Fprintln(out, "The model has diverged; try a lower learning rate.")
	}
}
