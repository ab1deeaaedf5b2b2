package data

import (
	"bytes"
	"fmt"

	"github.com/pkg/errors"
)

// Ignore is the target of a position that does not count: there is no token to
// predict.
const Ignore = -1

// maxBatchTokens limits the size of a batch, so that a slip in its shape is an
// error and not the end of memory.
const maxBatchTokens = 1 << 26

// Batch is B rows of T tokens each, and the tokens that follow them.
type Batch struct {
	// Inputs are the ids of the tokens, row-major: the token at time t of row b
	// is Inputs[b*T+t]. The input at an ignored target is 0.
	Inputs []int

	// Targets are laid out like Inputs. The target at time t is the token after
	// the input at time t, or Ignore.
	Targets []int

	B, T int

	// Fresh is true when the rows do not continue those of the batch before, so
	// that a state carried over from it must be reset.
	Fresh bool

	// Before has, for each row, the token before its first; it is nil in a
	// fresh batch.
	Before []int

	// Starts, laid out like Inputs, are true where a document begins, and nil
	// in a batch without marks. See MarkStarts.
	Starts []bool
}

// MarkStarts returns the batch with Starts set at the positions after the token
// between two documents.
func (b Batch) MarkStarts(between int) Batch {
	b.Starts = make([]bool, len(b.Inputs))
	for i := range b.Starts {
		switch {
		case i%b.T > 0:
			b.Starts[i] = b.Inputs[i-1] == between
		case b.Before != nil:
			b.Starts[i] = b.Before[i/b.T] == between
		}
	}
	return b
}

// MarkStartsAt is like MarkStarts for documents that begin with a token, which
// also separates them: it sets Starts at the positions of that token.
func (b Batch) MarkStartsAt(first int) Batch {
	b.Starts = make([]bool, len(b.Inputs))
	for i, id := range b.Inputs {
		b.Starts[i] = id == first
	}
	return b
}

// Rows returns rows from to to-1 of the batch, in the same memory.
func (b Batch) Rows(from, to int) Batch {
	b.Inputs, b.Targets = b.Inputs[from*b.T:to*b.T], b.Targets[from*b.T:to*b.T]
	if b.Before != nil {
		b.Before = b.Before[from:to]
	}
	if b.Starts != nil {
		b.Starts = b.Starts[from*b.T : to*b.T]
	}
	b.B = to - from
	return b
}

// Counted returns the number of targets that are not Ignore: the weight of the
// batch's mean loss in the mean over several batches.
func (b Batch) Counted() int {
	n := 0
	for _, t := range b.Targets {
		if t != Ignore {
			n++
		}
	}
	return n
}

// Batcher yields an endless sequence of batches of one shape.
//
// Batchers are not safe for concurrent use.
type Batcher interface {
	// Next returns the next batch. Its slices are valid until the next call.
	Next() Batch

	// State returns the position in the sequence of batches, to save with a
	// model.
	State() []byte

	// SetState moves to a position that State returned, so that the same
	// batches follow as followed then. It returns an error, and does not move,
	// if the position is damaged or is that of a Batcher of another kind,
	// another shape or other tokens.
	SetState(state []byte) error
}

// checkShape returns an error unless batches of b rows of t tokens can be made
// from n tokens.
func checkShape(b, t, n int) error {
	if b < 1 || t < 1 {
		return errors.Errorf("batches of %d rows of %d tokens: both must be at least 1", b, t)
	}
	if t > maxBatchTokens/b {
		return errors.Errorf("batches of %d rows of %d tokens: more than %d tokens in all: use fewer or shorter rows", b, t, maxBatchTokens)
	}
	if t >= n {
		return errors.Errorf("windows of %d tokens need a text of %d tokens or more, and this one has %d: use more text or shorter windows", t, t+1, n)
	}
	return nil
}

// newBatch returns a batch to fill.
func newBatch(b, t int) Batch {
	return Batch{Inputs: make([]int, b*t), Targets: make([]int, b*t), B: b, T: t}
}

// setRow fills a row with a window of up to T+1 tokens: all but its last token
// are inputs, all but its first targets. The rest of the row is padding.
func (b *Batch) setRow(row int, window []int) {
	inputs := b.Inputs[row*b.T : (row+1)*b.T]
	targets := b.Targets[row*b.T : (row+1)*b.T]
	n := 0
	if len(window) > 1 {
		n = copy(targets, window[1:])
		copy(inputs, window[:n])
	}
	clear(inputs[n:])
	for i := n; i < b.T; i++ {
		targets[i] = Ignore
	}
}

// signature describes a Batcher and its tokens in one line. A saved position
// begins with it, because a position means something else in other tokens.
func signature(kind string, tokens Tokens, b, t int) string {
	return fmt.Sprintf("%s of %d rows of %d from %d tokens with checksum %016x\n", kind, b, t, tokens.Len(), tokens.Checksum())
}

// position returns the part of a saved state after the signature.
func position(state []byte, signature string) ([]byte, error) {
	pos, ok := bytes.CutPrefix(state, []byte(signature))
	if !ok {
		first, _, _ := bytes.Cut(state, []byte("\n"))
		return nil, errors.Errorf("saved position is in %.120q, but these are %q: resume with the data and the batch shape of the saved run",
			first, signature[:len(signature)-1])
	}
	return pos, nil
}
