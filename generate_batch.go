package xlstm

import (
	"slices"

	"github.com/pkg/errors"
)

// BatchGenerator continues several texts at once, each with a separate state,
// in less time than one after the other, because a step reads the weights once
// for all of them. Texts may differ in length, begin and end at different
// times, and be replaced by others. It must be closed after use.
//
// The continuation of a text does not depend on the other texts or on their
// number, to the bit, but only on n, the number of texts for which the
// generator was created, because matrix products add in a different order for n
// rows than for one. Logits of generators with different n, and of a Generator,
// agree to rounding. With FewerRows this holds between steps, too.
type BatchGenerator struct {
	model    *Model
	reader   *Generator // reads what is longer than a token, text by text
	texts    []batchText
	benches  []*bench // by rows, ascending; the last has one for every text
	seatedAt *bench   // where texts are seated
	empty    *State   // of a row without a text
}

// BatchOption is an option of NewBatchGenerator.
type BatchOption func(n int) (sizes []int)

// FewerRows lets a step compute for no more rows than the power of 2 from which
// the continuing texts fit, instead of one for each of the n texts. It is faster
// while few texts continue, and takes up to twice the memory. The logits of a
// text then depend, to rounding, on how many others continue.
func FewerRows() BatchOption {
	return func(n int) (sizes []int) {
		for size := 1; size < n; size *= 2 {
			sizes = append(sizes, size)
		}
		return sizes
	}
}

// batchText is one of the texts.
type batchText struct {
	state  *State // out of date while the text is seated
	logits []float64
	count  int
	seat   int // at the bench where texts are seated, −1 for none
}

// NewBatchGenerator returns a generator for n texts, numbered 0 to n−1, all at
// the start of a text.
func (m *Model) NewBatchGenerator(n int, opts ...BatchOption) (*BatchGenerator, error) {
	if n < 1 {
		return nil, errors.Errorf("xlstm: a generator of %d texts; it takes at least 1", n)
	}
	reader, err := m.NewGenerator()
	if err != nil {
		return nil, err
	}
	b := &BatchGenerator{model: m, reader: reader, texts: make([]batchText, n)}
	for _, opt := range opts {
		for _, size := range opt(n) {
			b.benches = append(b.benches, &bench{size: size})
		}
	}
	b.benches = append(b.benches, &bench{size: n})
	if err := b.prepare(); err != nil {
		reader.Close()
		return nil, err
	}
	return b, nil
}

// prepare makes the states, and the program for all texts.
func (b *BatchGenerator) prepare() (err error) {
	for i := range b.texts {
		t := &b.texts[i]
		if t.state, err = b.model.NewState(1); err != nil {
			return err
		}
		t.logits, t.seat = make([]float64, b.model.cfg.VocabSize), -1
	}
	if b.empty, err = b.model.NewState(1); err != nil {
		return err
	}
	b.seatedAt = b.benches[len(b.benches)-1]
	return b.model.furnish(b.seatedAt)
}

// Texts returns the number of texts.
func (b *BatchGenerator) Texts() int { return len(b.texts) }

// text returns text i.
func (b *BatchGenerator) text(i int) (*batchText, error) {
	if i < 0 || i >= len(b.texts) {
		return nil, errors.Errorf("xlstm: text %d of a generator of %d", i, len(b.texts))
	}
	return &b.texts[i], nil
}

// Begin replaces text i by the text of g, whose state it copies. If g is nil,
// text i is reset to the start of a text.
func (b *BatchGenerator) Begin(i int, g *Generator) error {
	if g != nil {
		if err := g.settle(); err != nil {
			return err
		}
		return b.Resume(i, &Position{g.state, g.logits, g.count}) // which is only read
	}
	t, err := b.text(i)
	if err != nil {
		return err
	}
	if err := b.unseat(i); err != nil {
		return err
	}
	t.state.Reset()
	t.count = 0
	return nil
}

// Read continues text i with tokens. A Generator would compute the same bits.
func (b *BatchGenerator) Read(i int, tokens ...int) error {
	t, err := b.text(i)
	if err != nil {
		return err
	}
	if err := b.model.checkTokens(tokens); err != nil {
		return err
	}
	if err := b.unseat(i); err != nil {
		return err
	}
	if err := b.reader.state.Set(t.state); err != nil {
		return err
	}
	if err := b.reader.Read(tokens...); err != nil {
		return err
	}
	if len(tokens) > 0 {
		if err := b.reader.settle(); err != nil {
			return err
		}
		copy(t.logits, b.reader.logits)
		t.count += len(tokens)
	}
	return t.state.Set(b.reader.state)
}

// Step continues every text with a token: text [i] with tokens[i], or not at
// all if that is negative. It is fastest if the same texts continue as in the
// previous step.
func (b *BatchGenerator) Step(tokens []int) error {
	if len(tokens) != len(b.texts) {
		return errors.Errorf("xlstm: %d tokens for %d texts", len(tokens), len(b.texts))
	}
	var texts []int
	for i, token := range tokens {
		if token >= 0 {
			texts = append(texts, i)
		}
	}
	for _, i := range texts {
		if err := b.model.checkTokens(tokens[i : i+1]); err != nil {
			return err
		}
	}
	// Whether the others continue makes no difference to the state of one that
	// stands still.
	for i, token := range tokens {
		if token < 0 {
			if err := b.unseat(i); err != nil {
				return err
			}
		}
	}
	if len(texts) == 0 {
		return nil
	}
	if err := b.choose(len(texts)); err != nil {
		return err
	}
	if err := b.seat(tokens); err != nil {
		return err
	}
	for _, i := range texts {
		p, row := b.seatedAt.seat(b.texts[i].seat)
		p.ids[row] = tokens[i]
	}
	if err := b.seatedAt.run(); err != nil {
		return err
	}
	for _, i := range texts {
		t := &b.texts[i]
		p, row := b.seatedAt.seat(t.seat)
		if err := p.program.loadLogits(row, t.logits); err != nil {
			return err
		}
		t.count++
	}
	return nil
}

// choose takes the smallest bench for so many texts, and all texts off another.
func (b *BatchGenerator) choose(texts int) error {
	k := slices.IndexFunc(b.benches, func(n *bench) bool { return n.size >= texts })
	if b.benches[k] == b.seatedAt {
		return nil
	}
	for i := range b.texts {
		if err := b.unseat(i); err != nil {
			return err
		}
	}
	if b.benches[k].parts == nil {
		if err := b.model.furnish(b.benches[k]); err != nil {
			return err
		}
	}
	b.seatedAt = b.benches[k]
	return nil
}

// seat gives the texts that continue a seat. Those that have one keep it.
func (b *BatchGenerator) seat(tokens []int) error {
	for i, token := range tokens {
		t := &b.texts[i]
		if token < 0 || t.seat >= 0 {
			continue
		}
		seat := slices.Index(b.seatedAt.seats, -1)
		p, row := b.seatedAt.seat(seat)
		if err := p.rows.SetText(row, t.state, 0); err != nil {
			return err
		}
		t.seat, b.seatedAt.seats[seat] = seat, i
	}
	return nil
}

// unseat takes the seat of text i away, if it has one, and brings its state up to
// date. Its row may compute on without a text, and should compute something
// harmless.
func (b *BatchGenerator) unseat(i int) error {
	t := &b.texts[i]
	if t.seat < 0 {
		return nil
	}
	p, row := b.seatedAt.seat(t.seat)
	if err := t.state.SetText(0, p.rows, row); err != nil {
		return err
	}
	if err := p.rows.SetText(row, b.empty, 0); err != nil {
		return err
	}
	b.seatedAt.seats[t.seat], t.seat = -1, -1
	return nil
}

// Logits returns the logits of the token after text i, (V), which are valid
// until that text continues. It returns an error at the start of a text.
func (b *BatchGenerator) Logits(i int) ([]float64, error) {
	t, err := b.text(i)
	if err != nil {
		return nil, err
	}
	if t.count == 0 {
		return nil, errNothingRead
	}
	return t.logits, nil
}

// Tokens returns the number of tokens in text i.
func (b *BatchGenerator) Tokens(i int) int { return b.texts[i].count }

// Close releases the compiled graphs.
func (b *BatchGenerator) Close() error {
	err := b.reader.Close()
	for _, n := range b.benches {
		if failed := n.close(); err == nil {
			err = failed
		}
	}
	return err
}
