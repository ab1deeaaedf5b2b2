package run

import (
	"context"
	"fmt"
	"math"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// Measured is a loss and the amount of text that its targets stand for.
type Measured struct {
	Nats         float64 // per token
	Targets      int
	Bytes, Chars int
}

// Measure measures a model on windows. An interrupt ends it with an error.
func Measure(ctx context.Context, p *xlstm.Program, windows *data.Windows, bounds Boundaries, lengths *data.Lengths) (Measured, error) {
	return measureShared(ctx, p, windows, bounds, lengths, dist.Alone())
}

// measureShared is Measure by several ranks, each on its rows of every batch, for
// which the program is compiled.
func measureShared(ctx context.Context, p *xlstm.Program, windows *data.Windows, bounds Boundaries, lengths *data.Lengths, group dist.Group) (Measured, error) {
	m := amount(windows, lengths)
	nats, targets, err := p.TotalLoss(func(yield func(data.Batch) bool) {
		for b := range windows.All() {
			rows := b.B / group.Size()
			if ctx.Err() != nil || !yield(bounds.Mark(b).Rows(group.Rank()*rows, (group.Rank()+1)*rows)) {
				return
			}
		}
	})
	if err != nil {
		return Measured{}, err
	}
	if ctx.Err() != nil {
		return Measured{}, errors.New("interrupted while measuring")
	}
	sums := []float64{nats, float64(targets)}
	if err := group.SumAll(sums); err != nil {
		return Measured{}, err
	}
	if sums[1] == 0 {
		return Measured{}, errors.New("there is nothing to measure: no batch has a target that counts")
	}
	m.Nats, m.Targets = sums[0]/sums[1], int(sums[1])
	return m, nil
}

// measureBigram measures what a bigram model of some tokens makes of windows.
func measureBigram(train []int, windows *data.Windows, lengths *data.Lengths, vocab int) (m Measured, err error) {
	m = amount(windows, lengths)
	m.Nats, m.Targets, err = data.BigramLossOn(train, windows.All(), vocab)
	return m, err
}

// amount returns how much text the targets of windows stand for.
func amount(windows *data.Windows, lengths *data.Lengths) Measured {
	var bytes, chars float64
	for b := range windows.All() {
		db, dc := lengths.Of(b.Targets)
		bytes, chars = bytes+db, chars+dc
	}
	return Measured{Bytes: int(math.Round(bytes)), Chars: int(math.Round(chars))}
}

// Total returns the loss of all targets together, in nats.
func (m Measured) Total() float64 { return m.Nats * float64(m.Targets) }

// BitsPerByte returns the loss in bits per byte of the text.
func (m Measured) BitsPerByte() float64 { return data.BitsPerByte(m.Total(), m.Bytes) }

// Share is the number of batches of a text that are measured.
type Share struct {
	Batches int `json:"batches"`
	Of      int `json:"of"`
}

func shareOf(w *data.Windows) Share { return Share{w.Batches(), w.Whole()} }

// Whole reports whether all batches are measured. It returns true for runs that
// did not record the share.
func (s Share) Whole() bool { return s.Batches == s.Of }

// String returns "all of 25 batches" or "6 of 25 batches".
func (s Share) String() string {
	of := numbers.Commas(s.Of) + " batches"
	if s.Of == 1 {
		of = "1 batch"
	}
	if s.Whole() {
		return "all of " + of
	}
	return fmt.Sprintf("%s of %s", numbers.Commas(s.Batches), of)
}

// name is what a curve or a figure of such losses is called: as given, with the
// share if it is not the whole.
func (s Share) name(of string) string {
	if s.Whole() {
		return of
	}
	return fmt.Sprintf("%s (%s)", of, s)
}
