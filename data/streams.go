package data

import (
	"encoding/binary"

	"github.com/pkg/errors"
)

// Streams is a [Batcher] that reads the tokens in order, for truncated
// backpropagation through time with a state that is carried from batch to
// batch. The tokens are divided into B streams of equal length, one for each
// row, and each batch holds the next T tokens of every stream.
//
// At the end of the streams it starts over; that batch is fresh, as is the
// first one. The remaining tokens, fewer than B at the end of the text and up
// to T at the end of each stream, are never inputs.
//
// SetState restores the position only. Save the carried state of the model with
// it, or reset that state as for a fresh batch.
type Streams struct {
	tokens    Tokens
	window    []int // of one row, and the token before it
	before    []int
	batch     Batch
	step      int // the batch that comes next, from 0
	steps     int // the number of batches before the streams start over
	signature string
}

// NewStreams returns b streams over tokens, t tokens at a time. It keeps
// tokens, which must not change. It returns an error if b or t is less than 1,
// if a batch would be unreasonably large, or if a stream, len(tokens)/b tokens
// long, has fewer than t+1 tokens.
func NewStreams(tokens []int, b, t int) (*Streams, error) { return StreamsOf(IDs(tokens), b, t) }

// StreamsOf is like [NewStreams] for tokens that may be on disk.
func StreamsOf(tokens Tokens, b, t int) (*Streams, error) {
	if err := checkShape(b, t, tokens.Len()); err != nil {
		return nil, errors.Wrap(err, "streams")
	}
	length := tokens.Len() / b
	if t >= length {
		return nil, errors.Errorf("streams: %d tokens make %d streams of %d, but rows of %d tokens need %d: use more text, or fewer or shorter rows",
			tokens.Len(), b, length, t, t+1)
	}
	return &Streams{
		tokens:    tokens,
		window:    make([]int, t+2),
		before:    make([]int, b),
		batch:     newBatch(b, t),
		steps:     (length - 1) / t, // the last input of a stream needs a target in it
		signature: signature("streams", tokens, b, t),
	}, nil
}

// Next returns the next t tokens of every stream: row i continues row i of the
// previous batch, unless the batch is fresh.
func (s *Streams) Next() Batch {
	length := s.tokens.Len() / s.batch.B
	s.batch.Fresh, s.batch.Before = s.step == 0, nil
	for row := range s.batch.B {
		at := row*length + s.step*s.batch.T
		if s.batch.Fresh {
			s.tokens.Read(s.window[1:], at)
		} else {
			s.tokens.Read(s.window, at-1)
			s.before[row], s.batch.Before = s.window[0], s.before
		}
		s.batch.setRow(row, s.window[1:])
	}
	s.step = (s.step + 1) % s.steps
	return s.batch
}

// Steps returns the number of batches in one pass over the streams.
func (s *Streams) Steps() int { return s.steps }

// State returns the position in the streams.
func (s *Streams) State() []byte {
	return binary.BigEndian.AppendUint64([]byte(s.signature), uint64(s.step))
}

// SetState moves to a position in the streams. It returns the errors described
// in [Batcher].
func (s *Streams) SetState(state []byte) error {
	pos, err := position(state, s.signature)
	if err != nil {
		return errors.Wrap(err, "restore streams")
	}
	if len(pos) != 8 {
		return errors.Errorf("restore streams: the position has %d bytes and not 8: the saved state is damaged", len(pos))
	}
	step := binary.BigEndian.Uint64(pos)
	if step >= uint64(s.steps) {
		return errors.Errorf("restore streams: position %d is beyond the last, %d: the saved state is damaged", step, s.steps-1)
	}
	s.step = int(step)
	return nil
}
