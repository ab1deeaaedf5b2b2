package data

import (
	"iter"

	"github.com/pkg/errors"
)

// Windows cuts tokens into windows that follow each other without overlap, to
// judge a model on. Each token but the first is a target exactly once, so that a
// loss summed over all batches is the loss of the text. Each window starts
// without knowledge of the one before: every batch is fresh.
//
// A text that is too long for that is judged by a sample of its windows, spread
// evenly over all of it: its beginning alone may be easier or harder than the rest.
type Windows struct {
	tokens  Tokens
	b, t    int
	rows    int // windows of the whole text
	batches int
	targets int
}

// NewWindows returns the windows of tokens, b rows of t in a batch. If
// maxBatches is more than 0 and there are more batches, maxBatches are made of
// evenly spread windows, the same whenever they are made from the same tokens. It
// keeps tokens, which must not change. It returns an error when b or t is less
// than 1, when a batch would be beyond reason in size, and when there are not t+1
// tokens.
func NewWindows(tokens []int, b, t, maxBatches int) (*Windows, error) {
	return WindowsOf(IDs(tokens), b, t, maxBatches)
}

// WindowsOf is [NewWindows] of tokens that may be on disk.
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

// All returns the batches from first to last, as often as it is called. All are
// B×T; where the last one runs out of tokens it is padded with [Ignore]. The
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

// Whole returns the number of batches that the whole text makes: Batches, unless
// that is a sample.
func (w *Windows) Whole() int { return (w.rows + w.b - 1) / w.b }

// Targets returns the number of targets in all batches that are not [Ignore].
func (w *Windows) Targets() int { return w.targets }
