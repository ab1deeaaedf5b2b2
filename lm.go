package xlstm

import (
	"context"
	"iter"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/pkg/errors"
)

// LM is a language model with its vocabulary, which turns text into text. It
// knows the tokens that begin and end a text (see Model.Marks) and never
// generates ids that its vocabulary has no token for. Any number of goroutines
// may use it at the same time.
type LM struct {
	model *Model
	tok   data.Tokenizer
	dir   string

	mu     sync.Mutex
	idle   []*Generator
	closed bool
}

// Open opens the language model at path: the folder of a training run, of which
// the best model is opened or, if there is none, the last checkpoint; the folder
// of a model, also one of Hugging Face's transformers; or a file of weights; see
// Load. The vocabulary is the tokenizer.json in the same folder.
func Open(path string, opts ...Option) (*LM, error) {
	from, err := rundir.ModelPath(path)
	if err != nil {
		return nil, err
	}
	model, err := Load(from, opts...)
	if err != nil {
		return nil, err
	}
	dir := from
	if isFile(from) {
		dir = filepath.Dir(from)
	}
	tok, err := data.ReadTokenizer(dir)
	if err != nil {
		return nil, err
	}
	lm, err := NewLM(model, tok)
	if err != nil {
		return nil, errors.Wrap(err, from)
	}
	lm.dir = dir
	return lm, nil
}

// NewLM returns the language model of a model and its vocabulary. It returns an
// error if the vocabulary cannot be that of the model.
func NewLM(model *Model, tok data.Tokenizer) (*LM, error) {
	tok, err := model.cfg.WithBeginning(tok)
	if err != nil {
		return nil, err
	}
	// Models with a vocabulary of subwords often have some more ids than it has
	// tokens, for a round number.
	if n := model.cfg.VocabSize; tok.Size() != n && (tok.Size() > n || !data.IsSubwords(tok)) {
		return nil, errors.Errorf("the vocabulary has %d tokens, the model %d; they do not belong together", tok.Size(), n)
	}
	return &LM{model: model, tok: tok}, nil
}

// Model returns the model.
func (lm *LM) Model() *Model { return lm.model }

// Tokenizer returns the vocabulary.
func (lm *LM) Tokenizer() data.Tokenizer { return lm.tok }

// Dir returns the folder that the model was read from, "" if it was not read
// from one. For a run it is that of the checkpoint.
func (lm *LM) Dir() string { return lm.dir }

// RequestOption changes a Request.
type RequestOption func(*Request)

// MaxTokens sets the maximum number of generated tokens; the default is 256.
func MaxTokens(n int) RequestOption { return func(r *Request) { r.MaxTokens = n } }

// Temperature sets SamplerConfig.Temperature; the default is 0.8.
func Temperature(t float64) RequestOption { return func(r *Request) { r.Sampler.Temperature = t } }

// TopP sets SamplerConfig.TopP; the default is 0.95.
func TopP(p float64) RequestOption { return func(r *Request) { r.Sampler.TopP = p } }

// TopK sets SamplerConfig.TopK; the default is 0, for all tokens.
func TopK(k int) RequestOption { return func(r *Request) { r.Sampler.TopK = k } }

// RepetitionPenalty sets SamplerConfig.RepetitionPenalty; there is none by
// default.
func RepetitionPenalty(p float64) RequestOption {
	return func(r *Request) { r.Sampler.RepetitionPenalty = p }
}

// Seed sets the seed of the draws; the default is 1.
func Seed(seed uint64) RequestOption { return func(r *Request) { r.Sampler.Seed = seed } }

// Stop adds strings that end the text. They are not part of the returned text.
func Stop(texts ...string) RequestOption {
	return func(r *Request) { r.Stop = append(r.Stop, texts...) }
}

// Request returns a request for the continuation of a prompt, with the defaults
// of the options, for the methods of Generator and BatchGenerator.
func (lm *LM) Request(prompt string, opts ...RequestOption) Request {
	r := Request{Prompt: prompt, MaxTokens: 256, Sampler: SamplerConfig{Temperature: 0.8, TopP: 0.95, Seed: 1, Exclude: data.WithoutToken(lm.tok, lm.model.cfg.VocabSize)}}
	for _, opt := range opts {
		opt(&r)
	}
	return r
}

// Generate continues a prompt and returns the generated text: until a token that
// ends a text, a stop string or the maximum number of tokens. If the context ends
// first, it returns the text so far and the error of the context.
func (lm *LM) Generate(ctx context.Context, prompt string, opts ...RequestOption) (string, error) {
	text, err := lm.generate(ctx, lm.Request(prompt, opts...), nil)
	if err == nil {
		err = ctx.Err()
	}
	return text, err
}

// Stream is Generate for text that is used while it is generated: it yields
// pieces of whole characters as soon as they are certain to be part of the text.
// An error is the last thing that it yields. Breaking out of the loop ends the
// generation.
func (lm *LM) Stream(ctx context.Context, prompt string, opts ...RequestOption) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		left := errors.New("the loop was left")
		_, err := lm.generate(ctx, lm.Request(prompt, opts...), func(text string) error {
			if !yield(text, nil) {
				return left
			}
			return nil
		})
		if err == nil {
			err = ctx.Err()
		}
		if err != nil && err != left {
			yield("", err)
		}
	}
}

// generate answers a request at the start of a text.
func (lm *LM) generate(ctx context.Context, r Request, see func(text string) error) (string, error) {
	g, err := lm.take()
	if err != nil {
		return "", err
	}
	c, err := g.Complete(ctx, lm.tok, r, see)
	if closed := lm.giveBack(g); err == nil {
		err = closed
	}
	return c.Text, err
}

// take returns a generator at the start of a text.
func (lm *LM) take() (*Generator, error) {
	lm.mu.Lock()
	defer lm.mu.Unlock()
	if lm.closed {
		return nil, errors.New("xlstm: the language model is closed")
	}
	if n := len(lm.idle); n > 0 {
		g := lm.idle[n-1]
		lm.idle = lm.idle[:n-1]
		g.Reset()
		return g, nil
	}
	return lm.model.NewGenerator()
}

// giveBack keeps a generator for later, since its compiled graphs are costly, or
// closes it if there are enough.
func (lm *LM) giveBack(g *Generator) error {
	lm.mu.Lock()
	defer lm.mu.Unlock()
	if lm.closed || len(lm.idle) >= runtime.GOMAXPROCS(0) {
		return g.Close()
	}
	lm.idle = append(lm.idle, g)
	return nil
}

// Close releases the compiled graphs. Texts that are being generated end first,
// each in its own time.
func (lm *LM) Close() (err error) {
	lm.mu.Lock()
	defer lm.mu.Unlock()
	lm.closed = true
	for _, g := range lm.idle {
		if failed := g.Close(); err == nil {
			err = failed
		}
	}
	lm.idle = nil
	return err
}
