package xlstm

import (
	"iter"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// MeanLoss runs the program on every batch, each from the start of a text, and
// returns the mean loss in nats over all targets that count, and their number.
// The program must have been compiled with Loss and for the shape of the
// batches; if it was compiled with WithResets, the state is also reset at the
// batches' Starts.
func (p *Program) MeanLoss(batches iter.Seq[data.Batch]) (nats float64, targets int, err error) {
	sum, targets, err := p.TotalLoss(batches)
	if err != nil {
		return 0, 0, err
	}
	if targets == 0 {
		return 0, 0, errors.New("xlstm: there is nothing to evaluate: no batch has a target that counts")
	}
	return sum / float64(targets), targets, nil
}

// TotalLoss returns the sum of the losses, in nats, of all targets that count in
// the batches, and their number, which may be 0. It is MeanLoss for a part of
// what is evaluated.
func (p *Program) TotalLoss(batches iter.Seq[data.Batch]) (nats float64, targets int, err error) {
	for b := range batches {
		in := Input{Tokens: b.Inputs, Targets: b.Targets}
		if p.cfg.WithResets {
			in.Starts = b.Starts
		}
		if err := p.Run(in); err != nil {
			return 0, 0, err
		}
		loss, err := p.Loss()
		if err != nil {
			return 0, 0, err
		}
		n := b.Counted()
		nats += loss * float64(n)
		targets += n
	}
	return nats, targets, nil
}
