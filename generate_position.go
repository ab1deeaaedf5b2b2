package xlstm

import "github.com/pkg/errors"

// Position is a position in a text: what a generator needs to continue from
// there. It does not change, and any number of generators of the same model can
// continue from it.
type Position struct {
	state  *State
	logits []float64
	count  int
}

// newPosition copies a text's state.
func newPosition(state *State, logits []float64, count int) *Position {
	return &Position{state.Clone(), append([]float64(nil), logits...), count}
}

// Tokens returns the number of tokens before the position.
func (p *Position) Tokens() int { return p.count }

// Bytes returns the memory that the position takes, on the model's device and
// off it.
func (p *Position) Bytes() int64 {
	n := int64(8 * len(p.logits))
	for _, t := range p.state.tensors {
		size := int64(t.Value.Dtype().Size()) * int64(t.Value.Size())
		if n += size; p.state.residence != nil {
			n += size
		}
	}
	return n
}

// Position returns the position of the generator.
func (g *Generator) Position() *Position {
	g.failed = g.settle()
	return newPosition(g.state, g.logits, g.count)
}

// Resume sets the generator to a position of a generator of the same model.
func (g *Generator) Resume(p *Position) error {
	if err := fitsVocabulary(p, len(g.logits)); err != nil {
		return err
	}
	g.count, g.late = p.count, nil
	copy(g.logits, p.logits)
	return g.state.Set(p.state)
}

// Position returns the position of text i.
func (b *BatchGenerator) Position(i int) (*Position, error) {
	t, err := b.text(i)
	if err != nil {
		return nil, err
	}
	if err := b.unseat(i); err != nil {
		return nil, err
	}
	return newPosition(t.state, t.logits, t.count), nil
}

// Resume replaces text i by the text of a position of a generator of the same
// model.
func (b *BatchGenerator) Resume(i int, p *Position) error {
	t, err := b.text(i)
	if err != nil {
		return err
	}
	if err := fitsVocabulary(p, len(t.logits)); err != nil {
		return err
	}
	if err := b.unseat(i); err != nil {
		return err
	}
	t.count = p.count
	copy(t.logits, p.logits)
	return t.state.Set(p.state)
}

func fitsVocabulary(p *Position, vocab int) error {
	if len(p.logits) != vocab {
		return errors.Errorf("xlstm: a generator with a vocabulary of %d cannot continue from the position of one with %d", vocab, len(p.logits))
	}
	return nil
}
