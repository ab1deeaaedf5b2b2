// Package trace shows the memory of a model while it reads a text: the gates
// and norms of every head at every step, and the tokens that each mLSTM head
// retrieves.
package trace

import (
	"math"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Config selects the part of a text for which a trace has retrieval matrices,
// whose size grows with the square of its length.
type Config struct {
	// From and To bound the window, the steps From ≤ t < To; the matrices are
	// then (To−From)²/2 numbers a head. If both are 0 there are no matrices.
	From, To int
	// Keep reports whether a head of an mLSTM block gets matrices; nil means
	// all heads.
	Keep func(block, head int) bool
}

// Trace describes the memory of a model while the model reads a text of T
// tokens. Every slice over time has T elements; element t belongs to the step
// that reads token t. All numbers except Surprise are dimensionless.
type Trace struct {
	Tokens []int `json:"tokens"`
	// Surprise is −ln p(token t | the tokens before it) in nats, and 0 for the
	// first token, which is not predicted.
	Surprise []float64 `json:"surprise"`
	// From and To are the window of the retrieval matrices.
	From   int     `json:"from"`
	To     int     `json:"to"`
	Blocks []Block `json:"blocks"`
}

// Block is the trace of a block: MLSTM has an entry for each head of an mLSTM
// block, SLSTM one for each head of an sLSTM block, and LSTM and Simplified have
// one for a block or layer with that cell.
type Block struct {
	MLSTM      []MLSTM `json:"mlstm,omitempty"`
	SLSTM      []SLSTM `json:"slstm,omitempty"`
	LSTM       []LSTM  `json:"lstm,omitempty"`
	Simplified []LSTM  `json:"simplified,omitempty"`
	// Deviation is the largest difference between the outputs of the model's
	// own cell and those of the equations from which the trace was computed,
	// relative to the largest output of the head. It is only the rounding of
	// the model's element type.
	Deviation float64 `json:"deviation"`
}

// tracePiece is how many tokens the model reads at once, so that the memory of
// its graph does not grow with the text.
const tracePiece = 256

// Of runs a model on a text from its start and returns the trace of its memory.
// The equations of the cells are evaluated step by step in float64 from the
// model's own queries, keys, values and pre-activations of the gates. Of
// returns an error if the text is empty, a token is outside the vocabulary, the
// window is not within the text, or a number is not finite.
func Of(m *xlstm.Model, tokens []int, cfg Config) (*Trace, error) {
	return of(m, tokens, cfg, min(tracePiece, len(tokens)))
}

// of is Of for pieces of the given number of tokens.
func of(m *xlstm.Model, tokens []int, cfg Config, piece int) (*Trace, error) {
	if err := check(tokens, cfg, m.Config().VocabSize); err != nil {
		return nil, err
	}
	p, err := m.Compile(xlstm.ProgramConfig{Batch: 1, Steps: piece, Carry: true, KeepValues: true})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	state, err := m.NewState(1)
	if err != nil {
		return nil, err
	}
	tr := &tracer{vocab: m.Config().VocabSize, program: p, cfg: cfg, tokens: tokens, surprise: make([]float64, len(tokens))}
	if err := tr.makeCells(); err != nil {
		return nil, err
	}
	for from := 0; from < len(tokens); from += piece {
		// The last piece is filled up: what comes later changes nothing before.
		ids := make([]int, piece)
		n := copy(ids, tokens[from:])
		if err := p.Run(xlstm.Input{Tokens: ids, State: state}); err != nil {
			return nil, err
		}
		if err := tr.read(from, n); err != nil {
			return nil, err
		}
	}
	return tr.result(), nil
}

func check(tokens []int, cfg Config, vocab int) error {
	if len(tokens) == 0 {
		return errors.New("trace: a trace of an empty text; it takes at least one token")
	}
	for i, t := range tokens {
		if t < 0 || t >= vocab {
			return errors.Errorf("trace: token %d of the text is %d, outside the vocabulary of %d", i, t, vocab)
		}
	}
	if cfg.From < 0 || cfg.To < cfg.From || cfg.To > len(tokens) {
		return errors.Errorf("trace: a window from %d to %d is not within a text of %d tokens", cfg.From, cfg.To, len(tokens))
	}
	return nil
}

// tracer follows a program's cells through a text.
type tracer struct {
	vocab    int
	program  *xlstm.Program
	cfg      Config
	tokens   []int
	surprise []float64
	cells    []cellTracer
}

// cellTracer follows the cell of one block.
type cellTracer interface {
	// read follows the first n steps of the program's last run, of which the
	// first is step from of the text. It returns false if a number is not finite.
	read(from, n int) bool
	result() Block
}

func (tr *tracer) makeCells() error {
	for b, cell := range tr.program.Cells() {
		switch cell := cell.(type) {
		case *layers.MLSTMCell:
			tr.cells = append(tr.cells, tr.newMLSTM(b, cell))
		case *layers.SLSTMCell:
			tr.cells = append(tr.cells, tr.newSLSTM(cell))
		case *layers.LSTMCell:
			tr.cells = append(tr.cells, newLSTM(cell))
		case *layers.SimplifiedCell:
			tr.cells = append(tr.cells, newSimplified(cell))
		default:
			return errors.Errorf("trace: block %d has a cell of type %T, which cannot be traced", b, cell)
		}
	}
	return nil
}

// read takes over the first n steps of the last run.
func (tr *tracer) read(from, n int) error {
	for b, cell := range tr.cells {
		if !cell.read(from, n) {
			return errors.Errorf("trace: a number in the memory of block %d is not finite, at one of the tokens %d to %d", b, from, from+n-1)
		}
	}
	t, err := tr.program.Logits()
	if err != nil {
		return err
	}
	logits := elements(t)
	for i := range n {
		if next := from + i + 1; next < len(tr.tokens) {
			if tr.surprise[next] = -numbers.LogProb(logits[i*tr.vocab:][:tr.vocab], tr.tokens[next]); !numbers.Finite(tr.surprise[next]) {
				return errors.Errorf("trace: the model's prediction of token %d is not finite", next)
			}
		}
	}
	return nil
}

func (tr *tracer) result() *Trace {
	t := &Trace{Tokens: append([]int(nil), tr.tokens...), Surprise: tr.surprise, From: tr.cfg.From, To: tr.cfg.To}
	for _, c := range tr.cells {
		t.Blocks = append(t.Blocks, c.result())
	}
	return t
}

// elements returns a copy of the elements of a value.
func elements(v gorgonia.Value) []float64 { return floats.Of(v.Data()).Float64s() }

// deviation is the largest difference of two series of numbers, relative to the
// largest of the second.
type deviation struct{ apart, top float64 }

func (d *deviation) add(got, want float64) {
	d.apart, d.top = math.Max(d.apart, math.Abs(got-want)), math.Max(d.top, math.Abs(want))
}

func (d deviation) relative() float64 {
	if d.apart == 0 {
		return 0
	}
	return d.apart / d.top
}

// logForget is log σ(f~). Below −1e6 the gate is zero beside anything; the model's
// cells bound it there, too.
func logForget(f float64) float64 {
	return max(math.Min(f, 0)-math.Log1p(math.Exp(-math.Abs(f))), -1e6)
}

func norm(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum)
}

func dot(x, y []float64) (sum float64) {
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}
