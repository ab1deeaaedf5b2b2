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
// agree to rounding.
type BatchGenerator struct {
	model   *Model
	reader  *Generator // reads what is longer than a token, text by text
	texts   []batchText
	program *Program // reads one token for each of its rows
	rows    *State   // of the program
	seated  []int    // the text in each of the first rows, in ascending order
}

// batchText is one of the texts.
type batchText struct {
	state  *State // out of date while the text is seated
	logits []float64
	count  int
}

// NewBatchGenerator returns a generator for n texts, numbered 0 to n−1, all at
// the start of a text.
func (m *Model) NewBatchGenerator(n int) (*BatchGenerator, error) {
	if n < 1 {
		return nil, errors.Errorf("xlstm: a generator of %d texts; it takes at least 1", n)
	}
	reader, err := m.NewGenerator()
	if err != nil {
		return nil, err
	}
	b := &BatchGenerator{model: m, reader: reader, texts: make([]batchText, n)}
	if err := b.prepare(); err != nil {
		reader.Close()
		return nil, err
	}
	return b, nil
}

// prepare makes the states and the program.
func (b *BatchGenerator) prepare() (err error) {
	for i := range b.texts {
		t := &b.texts[i]
		if t.state, err = b.model.NewState(1); err != nil {
			return err
		}
		t.logits = make([]float64, b.model.cfg.VocabSize)
	}
	n := len(b.texts)
	if b.rows, err = b.model.NewState(n); err != nil {
		return err
	}
	b.program, err = b.model.compile(ProgramConfig{Batch: n, Steps: 1, Carry: true}, b.rows)
	return err
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
	t, err := b.text(i)
	if err != nil {
		return err
	}
	if err := b.unseat(); err != nil {
		return err
	}
	if g == nil {
		t.state.Reset()
		t.count = 0
		return nil
	}
	if len(g.logits) != len(t.logits) {
		return errors.Errorf("xlstm: a generator with a vocabulary of %d cannot go on where one with %d is", len(t.logits), len(g.logits))
	}
	t.count = g.count
	copy(t.logits, g.logits)
	return t.state.Set(g.state)
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
	if err := b.unseat(); err != nil {
		return err
	}
	if err := b.reader.state.Set(t.state); err != nil {
		return err
	}
	if err := b.reader.Read(tokens...); err != nil {
		return err
	}
	if len(tokens) > 0 {
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
	var texts, ids []int
	for i, token := range tokens {
		if token >= 0 {
			texts, ids = append(texts, i), append(ids, token)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	if err := b.model.checkTokens(ids); err != nil {
		return err
	}
	if !slices.Equal(texts, b.seated) {
		if err := b.seat(texts); err != nil {
			return err
		}
	}
	ids = append(ids, make([]int, len(b.texts)-len(ids))...)
	if err := b.program.Run(Input{Tokens: ids, State: b.rows}); err != nil {
		return err
	}
	for row, i := range texts {
		if err := b.program.loadLogits(row, b.texts[i].logits); err != nil {
			return err
		}
		b.texts[i].count++
	}
	return nil
}

// seat puts texts into rows of the program.
func (b *BatchGenerator) seat(texts []int) error {
	if err := b.unseat(); err != nil {
		return err
	}
	// Rows without a text compute too, and should compute something harmless.
	b.rows.Reset()
	for row, i := range texts {
		if err := b.rows.SetText(row, b.texts[i].state, 0); err != nil {
			return err
		}
	}
	b.seated = texts
	return nil
}

// unseat brings the states of the texts seated up to date.
func (b *BatchGenerator) unseat() error {
	for row, i := range b.seated {
		if err := b.texts[i].state.SetText(0, b.rows, row); err != nil {
			return err
		}
	}
	b.seated = nil
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
	err := b.program.Close()
	if failed := b.reader.Close(); err == nil {
		err = failed
	}
	return err
}
