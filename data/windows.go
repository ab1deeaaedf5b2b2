package data

import (
	"iter"

	"github.com/pkg/errors"
)

// Windows divides tokens into consecutive windows without overlap, to evaluate
// a model. Each token except the first is a target exactly once, so that a loss
// summed over all batches is the loss of the text. Each window starts without
// the context of the previous one: every batch is fresh.
//
// For a text that is too long for this, a model is evaluated on a sample of
// windows spread evenly over the text, because the beginning alone may be
// easier or harder than the rest.
type Windows struct {
	tokens  Tokens
	b, t    int
	rows    int // windows of the whole text
	batches int
	targets int
}

// NewWindows returns the windows of tokens, b rows of t in a batch. If
// maxBatches is positive and there are more batches than that, maxBatches
// batches of evenly spread windows are used, which are always the same for the
// same tokens. NewWindows keeps tokens, which must not change. It returns an
// error if b or t is less than 1, if a batch would be unreasonably large, or if
// there are fewer than t+1 tokens.
func NewWindows(tokens []int, b, t, maxBatches int) (*Windows, error) {
	return WindowsOf(IDs(tokens), b, t, maxBatches)
}

// WindowsOf is like [NewWindows] for tokens that may be on disk.
func WindowsOf(tokens Tokens, b, t, maxBatches int) (*Windows, error) {
	if err := checkShape(b, t, tokens.Len()); err != nil {
		return nil, errors.Wrap(err, "windows")
	}
	w := &Windows{tokens: tokens, b: b, t: t, targets: tokens.Len() - 1}
	w.rows = (w.targets + t - 1) / t
	w.batches = w.Whole()
	if maxBatches > 0 && maxBatches < w.batches {
		w.batches = maxBatches
		w.targets = maxBatches * b * t // the text's last window, which may be short, is not among them
	}
	return w, nil
}

// start returns where in the text row i of all batches begins.
func (w *Windows) start(i int) int {
	if rows := w.batches * w.b; rows < w.rows {
		// i·w.rows/rows without the overflow of a product.
		i = i*(w.rows/rows) + i*(w.rows%rows)/rows
	}
	return min(i*w.t, w.tokens.Len())
}

// All returns an iterator over the batches from first to last; it can be called
// repeatedly. All batches are B×T; the last one is padded with [Ignore]. The
// slices of a batch are valid until the next batch.
func (w *Windows) All() iter.Seq[Batch] {
	return func(yield func(Batch) bool) {
		batch := newBatch(w.b, w.t)
		batch.Fresh = true
		window := make([]int, w.t+1)
		for i := range w.batches {
			for row := range w.b {
				start := w.start(i*w.b + row)
				end := min(start+w.t+1, w.tokens.Len())
				w.tokens.Read(window[:end-start], start)
				batch.setRow(row, window[:end-start])
			}
			if !yield(batch) {
				return
			}
		}
	}
}

// Batches returns the number of batches that All returns.
func (w *Windows) Batches() int { return w.batches }

// Whole returns the number of batches of the whole text. It equals Batches
// unless that is a sample.
func (w *Windows) Whole() int { return (w.rows + w.b - 1) / w.b }

// Targets returns the number of targets that are not [Ignore], over all
// batches.
func (w *Windows) Targets() int { return w.targets }
