package data

import (
	"iter"

	"github.com/pkg/errors"
)

// Windows cuts tokens into windows that follow each other without overlap, to
// judge a model on. Each token but the first is a target exactly once, so that a
// loss summed over all batches is the loss of the text. Each window starts
// without knowledge of the one before: every batch is fresh.
type Windows struct {
	tokens  Tokens
	b, t    int
	batches int
	targets int
}

// NewWindows returns the windows of tokens, b rows of t in a batch. If
// maxBatches is more than 0 and there are more batches, only the first
// maxBatches are used. It keeps tokens, which must not change. It returns an
// error when b or t is less than 1, when a batch would be beyond reason in size,
// and when there are not t+1 tokens.
func NewWindows(tokens []int, b, t, maxBatches int) (*Windows, error) {
	return WindowsOf(IDs(tokens), b, t, maxBatches)
}

// WindowsOf is [NewWindows] of tokens that may be on disk.
func WindowsOf(tokens Tokens, b, t, maxBatches int) (*Windows, error) {
	if err := checkShape(b, t, tokens.Len()); err != nil {
		return nil, errors.Wrap(err, "windows")
	}
	w := &Windows{tokens: tokens, b: b, t: t, targets: tokens.Len() - 1}
	w.batches = (w.targets + b*t - 1) / (b * t)
	if maxBatches > 0 && maxBatches < w.batches {
		w.batches = maxBatches
		w.targets = maxBatches * b * t
	}
	return w, nil
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
				start := min((i*w.b+row)*w.t, w.tokens.Len())
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

// Targets returns the number of targets in all batches that are not [Ignore].
// They are tokens 1 to Targets() of the text.
func (w *Windows) Targets() int { return w.targets }
