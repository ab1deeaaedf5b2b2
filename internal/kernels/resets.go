package kernels

import (
	"iter"
	"slices"
)

// Resets say where documents begin within a batch: B·T integers, batch-major,
// not 0 where a document begins. The state that an operation carries over time
// is empty there: outputs from such a step on are those of the document alone,
// and no gradient flows to earlier steps. Nil means no such steps.
type Resets []int

// at reports whether a document begins at step t of sequence b, of steps steps.
func (r Resets) at(steps, b, t int) bool { return r != nil && r[b*steps+t] != 0 }

// some returns nil if no document begins in the batch.
func (r Resets) some() Resets {
	if slices.ContainsFunc(r, func(x int) bool { return x != 0 }) {
		return r
	}
	return nil
}

// span is the steps from … to−1 of sequence b: of one document, or, up to the
// first beginning, of the one that continues from the previous batch.
type span struct {
	b, from, to int
	fresh       bool // it begins with an empty memory
}

// spans cuts sequence b of steps steps where documents begin.
func (r Resets) spans(steps, b int) iter.Seq[span] {
	return func(yield func(span) bool) {
		cut := span{b: b, fresh: r.at(steps, b, 0)}
		for t := 1; t < steps; t++ {
			if r.at(steps, b, t) {
				cut.to = t
				if !yield(cut) {
					return
				}
				cut = span{b: b, from: t, fresh: true}
			}
		}
		cut.to = steps
		yield(cut)
	}
}
