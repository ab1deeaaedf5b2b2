package xlstm

import (
	"context"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// Request is a request for the continuation of a text.
type Request struct {
	// Prompt is the beginning or continuation of the text. At the start of a
	// text it follows the tokens that begin a text according to Model.Marks,
	// and may then be empty.
	Prompt string
	// PromptTokens follow Prompt.
	PromptTokens []int
	// WholePrompt says that the prompt has all that is to be read, so that nothing
	// precedes it, not even at the start of a text.
	WholePrompt bool
	// After is a generator that has read the text before the prompt; nil means
	// the start of a text. It is not changed.
	After *Generator
	// Sampler configures sampling. Its repetition penalty applies to the tokens
	// of the prompt and of the generated text.
	Sampler SamplerConfig
	// MaxTokens is the maximum number of generated tokens.
	MaxTokens int
	// Stop and StopTokens are strings and tokens that end the text when they
	// are generated. They are not part of the returned text. Nil StopTokens
	// means the tokens that end a text according to Model.Marks; an empty slice
	// means none.
	Stop       []string
	StopTokens []int
}

// Completion is the continuation of a text.
type Completion struct {
	// Text is the generated text, without the stop string or token. If the text
	// reaches its maximum length in the middle of a character, Text ends before
	// that character.
	Text string
	// Tokens are all sampled tokens, including those of a stop.
	Tokens []int
	// End is the reason why the text ended.
	End End
}

// End is the reason why a text ended.
type End string

// The reasons.
const (
	EndStop   End = "stop"        // a stop string or token was generated
	EndLength End = "length"      // the maximum number of tokens was reached
	EndEarly  End = "interrupted" // the context was cancelled
)

// Complete continues the generator's text with a prompt and generates text
// until a stop, MaxTokens or the end of the context. The generator has then
// read all of Completion.Tokens and can continue from there. see, which may be
// nil, is called with text as soon as it is certain to be part of the
// completion; an error of see ends the text. r.After must be nil.
func (g *Generator) Complete(ctx context.Context, tok data.Tokenizer, r Request, see func(text string) error) (Completion, error) {
	if r.After != nil {
		return Completion{}, errors.New("xlstm: a generator continues its own text; leave After out of a request to it")
	}
	a, err := g.model.NewAnswer(tok, r, g.count == 0)
	if err != nil {
		return Completion{}, err
	}
	a.OnText(see)
	if err := g.Read(a.prompt...); err != nil {
		return Completion{}, err
	}
	for a.Continues(ctx) {
		logits, err := g.Logits()
		if err != nil {
			return a.done, err
		}
		t, err := a.Draw(logits)
		if err != nil {
			return a.done, err
		}
		if err := g.Read(t); err != nil {
			return a.done, err
		}
		if err := a.Take(t); err != nil {
			return a.done, err
		}
	}
	return a.Finish()
}

// Answer is the answer to a Request while it is generated: it draws tokens,
// recognises stops, and decides which text is certain. Generator.Complete and
// BatchGenerator.Complete use it; it serves programs that run the model
// themselves, such as those in which texts come and go.
type Answer struct {
	tok     data.Tokenizer
	request Request
	prompt  []int
	sampler *Sampler
	see     func(text string) error
	rest    string // written, but perhaps the beginning of a stop string, or of a character
	done    Completion
}

// NewAnswer prepares the answer to a request. start says that the prompt is at
// the start of a text, where the tokens that begin a text precede it; r.After is
// not used.
func (m *Model) NewAnswer(tok data.Tokenizer, r Request, start bool) (*Answer, error) {
	s, err := NewSampler(r.Sampler)
	if err != nil {
		return nil, err
	}
	prompt, err := data.TryEncode(tok, r.Prompt)
	if err != nil {
		return nil, errors.Wrap(err, "xlstm: the prompt")
	}
	prompt = append(prompt, r.PromptTokens...)
	marks := m.Marks(tok)
	if start && !r.WholePrompt {
		prompt = data.Begin(marks.Begin, prompt)
	}
	if r.StopTokens == nil {
		r.StopTokens = marks.Ends
	}
	s.Observe(prompt...)
	return &Answer{tok: tok, request: r, prompt: prompt, sampler: s}, nil
}

// Prompt returns the tokens that the model must read before the first Draw.
func (a *Answer) Prompt() []int { return a.prompt }

// OnText sets a function that is called with text as soon as it is certain to be
// part of the completion. Its error ends the answer.
func (a *Answer) OnText(see func(text string) error) { a.see = see }

// Continues reports whether the answer needs another token. If not, Completion
// has an End.
func (a *Answer) Continues(ctx context.Context) bool {
	switch {
	case a.done.End != "":
	case len(a.done.Tokens) >= a.request.MaxTokens:
		a.done.End = EndLength
	case ctx.Err() != nil:
		a.done.End = EndEarly
	}
	return a.done.End == ""
}

// Draw draws the next token from logits, (V). Take must follow.
func (a *Answer) Draw(logits []float64) (int, error) { return a.sampler.Sample(logits) }

// Take continues the answer with a token.
func (a *Answer) Take(token int) error {
	a.done.Tokens = append(a.done.Tokens, token)
	for _, stop := range a.request.StopTokens {
		if token == stop {
			a.done.End = EndStop
			return nil
		}
	}
	a.rest += a.tok.Decode([]int{token})
	certain := len(a.rest) - pending(a.rest, a.request.Stop)
	if at := firstStop(a.rest, a.request.Stop); at >= 0 {
		a.done.End = EndStop
		a.rest, certain = a.rest[:at], at
	}
	return a.tell(certain)
}

// Finish tells what is left, except the beginning of a character without its
// end, at which a text that ends by its length can stop, and returns the
// completion.
func (a *Answer) Finish() (Completion, error) {
	err := a.tell(len(a.rest) - unfinished(a.rest))
	return a.done, err
}

// tell makes the first n bytes of the rest part of the completion.
func (a *Answer) tell(n int) error {
	text := a.rest[:n]
	a.rest = a.rest[n:]
	a.done.Text += text
	if a.see == nil || text == "" {
		return nil
	}
	return a.see(text)
}
