package xlstm

import (
	"math"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// readSizes are the numbers of tokens that a generator reads at once, largest
// first.
var readSizes = [...]int{256, 64, 16, 4, 1}

// deviceReadSizes are those of a model on a device, where longer pieces are faster.
var deviceReadSizes = [...]int{2048, 256, 64, 8, 1}

// Generator reads and generates a text token by token, in constant memory and
// time per token. It reads prompts in chunks. It must be closed after use.
type Generator struct {
	model    *Model
	state    *State           // that all programs read and write where it is
	programs map[int]*Program // by the number of tokens
	logits   []float64        // as of the last settle
	count    int
	// late is a program on a device whose last run, up to row, has the logits,
	// which have not been fetched; nil if they have.
	late   *Program
	row    int
	failed error // of a fetch in a method that returns no error; the next one reports it
}

// NewGenerator returns a generator at the start of a text.
func (m *Model) NewGenerator() (*Generator, error) {
	state, err := m.NewState(1)
	if err != nil {
		return nil, err
	}
	return &Generator{model: m, state: state, programs: make(map[int]*Program), logits: make([]float64, m.cfg.VocabSize)}, nil
}

// readSizes returns the numbers of tokens that the model's generators read at once.
func (m *Model) readSizes() []int {
	if m.home != nil {
		return deviceReadSizes[:]
	}
	return readSizes[:]
}

// settle fetches the logits if they are still on the device.
func (g *Generator) settle() error {
	if err := g.failed; err != nil {
		g.failed = nil
		return err
	}
	p := g.late
	if g.late = nil; p == nil {
		return nil
	}
	return p.loadLogits(g.row, g.logits)
}

// Read continues the text with tokens.
func (g *Generator) Read(tokens ...int) error { return g.read(tokens, nil) }

// LogProbs continues the text with tokens and returns the logarithm of the
// probability of each token given the previous ones. At the start of a text the
// first token has no probability, and its entry is NaN. No other entry is NaN:
// if the model's numbers are not finite, the error names the first token
// without a probability, only the entries before it are returned, and the
// tokens after it have not been read.
func (g *Generator) LogProbs(tokens ...int) ([]float64, error) {
	if err := g.model.checkTokens(tokens); err != nil {
		return nil, err
	}
	if g.next(len(tokens)) == 1 { // what comes after a token makes no difference to it
		return g.logProbs(tokens)
	}
	if err := g.settle(); err != nil {
		return nil, err
	}
	count, state, logits := g.count, g.state.Clone(), slices.Clone(g.logits)
	probs, err := g.logProbs(tokens)
	if err == nil || probs == nil {
		return probs, err
	}
	// In a chunk, NaN also gets to the tokens before the one that it comes from.
	g.count = count
	copy(g.logits, logits)
	if err := g.state.Set(state); err != nil {
		return nil, err
	}
	probs = probs[:0]
	for i := range tokens {
		p, err := g.logProbs(tokens[i : i+1])
		if err != nil {
			return probs, err
		}
		probs = append(probs, p...)
	}
	return probs, nil
}

// logProbs is LogProbs whose error may name a token too early, behind which all
// were read.
func (g *Generator) logProbs(tokens []int) ([]float64, error) {
	if err := g.settle(); err != nil {
		return nil, err
	}
	start, probs := g.count, make([]float64, 0, len(tokens))
	if len(tokens) > 0 && start > 0 {
		probs = append(probs, numbers.LogProb(g.logits, tokens[0]))
	} else if len(tokens) > 0 {
		probs = append(probs, math.NaN())
	}
	if err := g.read(tokens, func(i int, logits []float64) {
		if i+1 < len(tokens) {
			probs = append(probs, numbers.LogProb(logits, tokens[i+1]))
		}
	}); err != nil {
		return nil, err
	}
	for i, p := range probs {
		if !numbers.Finite(p) && start+i > 0 {
			return probs[:i], errors.Errorf("xlstm: the logarithm of the probability of token %d, number %d of the text counted from 0, is %v: the model's weights, or what it computes from them, are not finite", tokens[i], start+i, p)
		}
	}
	return probs, nil
}

// checkTokens checks that tokens are of the model's vocabulary.
func (m *Model) checkTokens(tokens []int) error {
	for _, t := range tokens {
		if t < 0 || t >= m.cfg.VocabSize {
			return errors.Errorf("xlstm: token %d is outside the vocabulary of %d", t, m.cfg.VocabSize)
		}
	}
	return nil
}

// read reads tokens in chunks; see, if not nil, is shown the logits after each.
func (g *Generator) read(tokens []int, see func(i int, logits []float64)) error {
	if err := g.failed; err != nil {
		g.failed = nil
		return err
	}
	for done := 0; done < len(tokens); {
		n := g.next(len(tokens) - done)
		p, err := g.program(n)
		if err != nil {
			return err
		}
		if err := p.Run(Input{Tokens: tokens[done : done+n], State: g.state}); err != nil {
			return err
		}
		g.late, g.row = nil, n-1
		for i := 0; see != nil && i < n; i++ {
			if err := p.loadLogits(i, g.logits); err != nil {
				return err
			}
			see(done+i, g.logits)
		}
		if see == nil {
			g.late = p
		}
		done += n
		g.count += n
	}
	if g.model.home == nil {
		return g.settle()
	}
	return nil
}

// next returns how many of n tokens are read at once.
func (g *Generator) next(n int) int {
	for _, size := range g.model.readSizes() {
		if size <= n {
			return size
		}
	}
	return 1
}

// program returns the program that reads n tokens, compiled on first use.
func (g *Generator) program(n int) (*Program, error) {
	if g.programs[n] == nil {
		p, err := g.model.compile(ProgramConfig{Batch: 1, Steps: n, Carry: true}, g.state)
		if err != nil {
			return nil, err
		}
		g.programs[n] = p
	}
	return g.programs[n], nil
}

// loadLogits copies a row of the last run's logits.
func (p *Program) loadLogits(row int, logits []float64) error {
	if p.remote != nil && p.hasRun() {
		return p.remote.fetchRow(p.out.Logits, row, logits)
	}
	t, err := p.Logits()
	if err != nil {
		return err
	}
	lo := row * len(logits)
	floats.Of(t.Data()).Cut(lo, lo+len(logits)).Read(logits)
	return nil
}

var errNothingRead = errors.New("xlstm: the generator has read nothing; give it a prompt of at least one token")

// Logits returns the logits of the next token, which are valid until the
// generator continues. It returns an error at the start of a text.
func (g *Generator) Logits() ([]float64, error) {
	if g.count == 0 {
		return nil, errNothingRead
	}
	return g.logits, g.settle()
}

// Next samples the next token, continues the text with it and returns it.
func (g *Generator) Next(s *Sampler) (int, error) {
	t, err := g.sample(s)
	if err != nil {
		return 0, err
	}
	return t, g.Read(t)
}

// sample samples the next token: on a device, if the sampler looks at the most
// likely tokens alone, from those that the device ranks.
func (g *Generator) sample(s *Sampler) (int, error) {
	if k := s.looksAt(); k > 0 && k <= min(maxRanked, len(g.logits)) && g.late != nil && g.failed == nil {
		tokens, logits, err := g.late.remote.largest(g.late.out.Logits, g.row, k)
		if err != nil {
			return 0, err
		}
		return s.sampleFrom(tokens, logits)
	}
	logits, err := g.Logits()
	if err != nil {
		return 0, err
	}
	return s.Sample(logits)
}

// State returns the generator's own state, for reading. Writing to it does not
// change the next prediction of the generator.
func (g *Generator) State() *State { return g.state }

// Tokens returns the number of tokens read and generated so far.
func (g *Generator) Tokens() int { return g.count }

// Reset sets the generator to the start of a text.
func (g *Generator) Reset() {
	g.state.Reset()
	g.count, g.late = 0, nil
}

// Close releases the compiled graphs.
func (g *Generator) Close() (err error) {
	for _, p := range g.programs {
		if failed := p.Close(); err == nil {
			err = failed
		}
	}
	return err
}
