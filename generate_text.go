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
		return Completion{}, errors.New("xlstm: a generator goes on with its own text; a request to it cannot be for the text after another")
	}
	w, err := g.model.newWriting(tok, r, g.count == 0)
	if err != nil {
		return Completion{}, err
	}
	w.see = see
	if err := g.Read(w.prompt...); err != nil {
		return Completion{}, err
	}
	for w.goesOn(ctx) {
		t, err := g.Next(w.sampler)
		if err != nil {
			return w.done, err
		}
		if err := w.take(t); err != nil {
			return w.done, err
		}
	}
	return w.done, w.finish()
}

// writing is a text that is being written.
type writing struct {
	tok     data.Tokenizer
	request Request
	prompt  []int
	sampler *Sampler
	see     func(text string) error
	rest    string // written, but perhaps the beginning of a stop string, or of a character
	done    Completion
}

// newWriting prepares the answer to a request, at the start of a text or later.
func (m *Model) newWriting(tok data.Tokenizer, r Request, start bool) (*writing, error) {
	s, err := NewSampler(r.Sampler)
	if err != nil {
		return nil, err
	}
	prompt, err := data.TryEncode(tok, r.Prompt)
	if err != nil {
		return nil, errors.Wrap(err, "xlstm: the prompt")
	}
	marks := m.Marks(tok)
	if start {
		prompt = data.Begin(marks.Begin, prompt)
	}
	if r.StopTokens == nil {
		r.StopTokens = marks.Ends
	}
	w := &writing{tok: tok, request: r, prompt: prompt, sampler: s}
	s.Observe(w.prompt...)
	return w, nil
}

// goesOn reports whether the text needs another token; if not, the text has an
// End.
func (w *writing) goesOn(ctx context.Context) bool {
	switch {
	case w.done.End != "":
	case len(w.done.Tokens) >= w.request.MaxTokens:
		w.done.End = EndLength
	case ctx.Err() != nil:
		w.done.End = EndEarly
	}
	return w.done.End == ""
}

// take continues the text with a token.
func (w *writing) take(token int) error {
	w.done.Tokens = append(w.done.Tokens, token)
	for _, stop := range w.request.StopTokens {
		if token == stop {
			w.done.End = EndStop
			return nil
		}
	}
	w.rest += w.tok.Decode([]int{token})
	certain := len(w.rest) - pending(w.rest, w.request.Stop)
	if at := firstStop(w.rest, w.request.Stop); at >= 0 {
		w.done.End = EndStop
		w.rest, certain = w.rest[:at], at
	}
	return w.tell(certain)
}

// finish tells what is left, but the beginning of a character that has no end: a
// text that ends by its length can stop there.
func (w *writing) finish() error { return w.tell(len(w.rest) - unfinished(w.rest)) }

// tell makes the first n bytes of the rest part of the completion.
func (w *writing) tell(n int) error {
	text := w.rest[:n]
	w.rest = w.rest[n:]
	w.done.Text += text
	if w.see == nil || text == "" {
		return nil
	}
	return w.see(text)
}
