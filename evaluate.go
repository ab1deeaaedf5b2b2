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
	var sum float64
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
		sum += loss * float64(n)
		targets += n
	}
	if targets == 0 {
		return 0, 0, errors.New("xlstm: there is nothing to evaluate: no batch has a target that counts")
	}
	return sum / float64(targets), targets, nil
}
