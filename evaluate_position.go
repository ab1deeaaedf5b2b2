package xlstm

import (
	"context"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// PositionConfig configures Model.LossByPosition.
type PositionConfig struct {
	// Sequences is the number of sequences, each of which the model reads from
	// the start of a text, and Length the number of their tokens.
	Sequences, Length int
	// Batch is the number of sequences that are read at once, and Piece that of
	// their tokens: the state is carried from one piece to the next, so that
	// memory does not grow with Length.
	Batch, Piece int
	// Mark, unless it is nil, sets the Starts of a batch, where documents begin
	// within the sequences and the state is reset; see data.Batch.MarkStarts.
	Mark func(b data.Batch) data.Batch
}

// PositionLoss is the mean loss at positions of a sequence.
type PositionLoss struct {
	// From and To are the range From ≤ t < To of positions, counted from 0.
	From    int     `json:"from"`
	To      int     `json:"to"`
	Nats    float64 `json:"nats"` // per token
	Targets int     `json:"targets"`
}

// LossByPosition returns the mean loss of the model by the position of the
// target in the sequence, in nats: for positions below 16, from 16 to 31, from
// 32 to 63 and so on, each range twice as long as the one before. The sequences
// are spread evenly over tokens, without overlap. It returns an error if a number of
// the configuration is below 1, if there are not enough tokens, or if a loss is
// not finite.
func (m *Model) LossByPosition(ctx context.Context, tokens data.Tokens, cfg PositionConfig) ([]PositionLoss, error) {
	cfg.Batch, cfg.Piece = min(cfg.Batch, cfg.Sequences), min(cfg.Piece, cfg.Length)
	if cfg.Batch < 1 || cfg.Piece < 1 {
		return nil, errors.Errorf("xlstm: loss by position of %d sequences of %d tokens, %d and %d at once: all must be at least 1", cfg.Sequences, cfg.Length, cfg.Batch, cfg.Piece)
	}
	if tokens.Len() <= cfg.Length || (tokens.Len()-1)/cfg.Length < cfg.Sequences {
		return nil, errors.Errorf("xlstm: loss by position: %d sequences of %d tokens need a text of more than %d tokens, and this one has %d; use more text, or fewer or shorter sequences", cfg.Sequences, cfg.Length, cfg.Sequences*cfg.Length, tokens.Len())
	}
	p, err := m.Compile(ProgramConfig{Batch: cfg.Batch, Steps: cfg.Piece, Carry: true, WithResets: cfg.Mark != nil})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	by := positionLosses(cfg.Length)
	for first := 0; first < cfg.Sequences; first += cfg.Batch {
		if err := p.addByPosition(ctx, by, tokens, cfg, first); err != nil {
			return nil, err
		}
	}
	for i := range by {
		if by[i].Nats /= float64(by[i].Targets); !numbers.Finite(by[i].Nats) {
			return nil, errors.Errorf("xlstm: the loss at the positions from %d to %d is not finite", by[i].From, by[i].To-1)
		}
	}
	return by, nil
}

// positionLosses returns the ranges up to a length.
func positionLosses(length int) (by []PositionLoss) {
	for from, to := 0, 16; from < length; from, to = to, 2*to {
		by = append(by, PositionLoss{From: from, To: min(to, length)})
	}
	return by
}

// addByPosition adds the losses of a batch of sequences, of which first is the
// first, and those beyond the last do not count.
func (p *Program) addByPosition(ctx context.Context, by []PositionLoss, tokens data.Tokens, cfg PositionConfig, first int) error {
	state, err := p.model.NewState(cfg.Batch)
	if err != nil {
		return err
	}
	apart := (tokens.Len() - 1) / cfg.Sequences
	window := make([]int, cfg.Piece+1)
	b := data.Batch{B: cfg.Batch, T: cfg.Piece, Inputs: make([]int, cfg.Batch*cfg.Piece), Targets: make([]int, cfg.Batch*cfg.Piece)}
	for from := 0; from < cfg.Length; from += cfg.Piece {
		if ctx.Err() != nil {
			return errors.New("interrupted while measuring")
		}
		n := min(cfg.Piece, cfg.Length-from)
		if b.Fresh = from == 0; !b.Fresh {
			b.Before = make([]int, cfg.Batch)
		}
		for row := range cfg.Batch {
			if !b.Fresh {
				b.Before[row] = b.Inputs[(row+1)*cfg.Piece-1]
			}
			clear(window)
			tokens.Read(window[:n+1], min(first+row, cfg.Sequences-1)*apart+from)
			copy(b.Inputs[row*cfg.Piece:], window[:cfg.Piece])
			copy(b.Targets[row*cfg.Piece:(row+1)*cfg.Piece], window[1:])
		}
		in := Input{Tokens: b.Inputs, State: state}
		if cfg.Mark != nil {
			in.Starts = cfg.Mark(b).Starts
		}
		if err := p.Run(in); err != nil {
			return err
		}
		logits, err := p.Logits()
		if err != nil {
			return err
		}
		for row := range min(cfg.Batch, cfg.Sequences-first) {
			addLosses(by, logits, b.Targets, row*cfg.Piece, from, n)
		}
	}
	return nil
}

// addLosses adds the losses of n targets, from index at on, the first of which is
// at a position.
func addLosses(by []PositionLoss, logits *tensor.Dense, targets []int, at, position, n int) {
	vocab := logits.Shape()[1]
	row := make([]float64, vocab)
	k := 0
	for i := range n {
		for position+i >= by[k].To {
			k++
		}
		switch all := logits.Data().(type) {
		case []float32:
			for j, x := range all[(at+i)*vocab:][:vocab] {
				row[j] = float64(x)
			}
		case []float64:
			copy(row, all[(at+i)*vocab:])
		}
		by[k].Nats -= numbers.LogProb(row, targets[at+i])
		by[k].Targets++
	}
}
