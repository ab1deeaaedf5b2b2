package data

import (
	"math/bits"
	"math/rand/v2"

	"github.com/pkg/errors"
)

// RandomWindows is a [Batcher] whose rows are windows drawn independently and
// uniformly from all positions in the tokens. Every batch is fresh.
type RandomWindows struct {
	tokens Tokens
	window []int // of one row
	batch  Batch
	drawing
}

// NewRandomWindows returns random windows over tokens, b rows of t in a batch.
// The windows depend only on the arguments. NewRandomWindows keeps tokens,
// which must not change. It returns an error if b or t is less than 1, if a
// batch would be unreasonably large, or if there are fewer than t+1 tokens.
func NewRandomWindows(tokens []int, b, t int, seed uint64) (*RandomWindows, error) {
	return RandomWindowsOf(IDs(tokens), b, t, seed)
}

// RandomWindowsOf is like [NewRandomWindows] for tokens that may be on disk.
func RandomWindowsOf(tokens Tokens, b, t int, seed uint64) (*RandomWindows, error) {
	if err := checkShape(b, t, tokens.Len()); err != nil {
		return nil, errors.Wrap(err, "random windows")
	}
	return &RandomWindows{
		tokens:  tokens,
		window:  make([]int, t+1),
		batch:   newBatch(b, t),
		drawing: drawing{newSource(seed), signature("random windows", tokens, b, t), "random windows"},
	}, nil
}

// Next returns b newly drawn windows.
func (w *RandomWindows) Next() Batch {
	places := w.tokens.Len() - w.batch.T
	for row := range w.batch.B {
		w.tokens.Read(w.window, below(w.src, places))
		w.batch.setRow(row, w.window)
	}
	w.batch.Fresh = true
	return w.batch
}

// below returns a random number from 0 to n-1. The methods of [rand.Rand] draw
// differently on machines of 32 and of 64 bits; this does not. The numbers are
// even but for one part in 2⁶⁴/n.
func below(src *rand.PCG, n int) int {
	high, _ := bits.Mul64(src.Uint64(), uint64(n))
	return int(high)
}
