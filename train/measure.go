package main

import (
	"context"
	"fmt"
	"math"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// measured is a loss, and how much text the targets stand for that it was measured
// on.
type measured struct {
	nats         float64 // per token
	targets      int
	bytes, chars int
}

// measure measures a model on windows. An interrupt ends it with an error.
func measure(ctx context.Context, p *xlstm.Program, windows *data.Windows, bounds boundaries, lengths *data.Lengths) (measured, error) {
	m := amount(windows, lengths)
	var err error
	m.nats, m.targets, err = p.MeanLoss(func(yield func(data.Batch) bool) {
		for b := range windows.All() {
			if ctx.Err() != nil || !yield(bounds.mark(b)) {
				return
			}
		}
	})
	if ctx.Err() != nil {
		return measured{}, errors.New("interrupted while measuring")
	}
	return m, err
}

// measureBigram measures what a bigram model of some tokens makes of windows.
func measureBigram(train []int, windows *data.Windows, lengths *data.Lengths, vocab int) (m measured, err error) {
	m = amount(windows, lengths)
	m.nats, m.targets, err = data.BigramLossOn(train, windows.All(), vocab)
	return m, err
}

// amount returns how much text the targets of windows stand for.
func amount(windows *data.Windows, lengths *data.Lengths) measured {
	var bytes, chars float64
	for b := range windows.All() {
		db, dc := lengths.Of(b.Targets)
		bytes, chars = bytes+db, chars+dc
	}
	return measured{bytes: int(math.Round(bytes)), chars: int(math.Round(chars))}
}

func (m measured) total() float64       { return m.nats * float64(m.targets) }
func (m measured) bitsPerByte() float64 { return data.BitsPerByte(m.total(), m.bytes) }

// share is how many of the batches of a text are measured.
type share struct {
	Batches int `json:"batches"`
	Of      int `json:"of"`
}

func shareOf(w *data.Windows) share { return share{w.Batches(), w.Whole()} }

// whole reports whether nothing is left out. That is also said of runs that do
// not tell.
func (s share) whole() bool { return s.Batches == s.Of }

func (s share) String() string {
	of := numbers.Commas(s.Of) + " batches"
	if s.Of == 1 {
		of = "1 batch"
	}
	if s.whole() {
		return "all of " + of
	}
	return fmt.Sprintf("%s of %s", numbers.Commas(s.Batches), of)
}

// name is what a curve or a figure of such losses is called: as given, with the
// share if it is not the whole.
func (s share) name(of string) string {
	if s.whole() {
		return of
	}
	return fmt.Sprintf("%s (%s)", of, s)
}
