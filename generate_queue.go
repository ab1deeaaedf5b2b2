package xlstm

import (
	"context"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/pkg/errors"
)

// Complete answers all requests, as many at a time as the generator has texts:
// when one ends, the next takes its place. The completions are in the order of
// the requests. see, which may be nil, is called with each completion when it
// ends, in any order; an error of see ends all. When the context is cancelled,
// the completions of requests that were not started are empty.
//
// The answer to a request does not depend on the other requests; see
// BatchGenerator.
func (b *BatchGenerator) Complete(ctx context.Context, tok data.Tokenizer, requests []Request, see func(i int, c Completion) error) ([]Completion, error) {
	q := &queue{b: b, tok: tok, requests: requests, done: make([]Completion, len(requests)), at: make([]int, len(b.texts)), texts: make([]*Answer, len(b.texts)), see: see}
	for {
		for i := range q.texts {
			if err := q.fill(ctx, i); err != nil {
				return q.done, err
			}
		}
		tokens, errs := b.Draw(q.texts)
		busy := false
		for i, t := range tokens {
			if t < 0 {
				continue
			}
			busy = true
			if err := q.take(ctx, i, &tokens[i], errs[i]); err != nil {
				return q.done, err
			}
		}
		if !busy {
			return q.done, nil
		}
		if err := b.Step(tokens); err != nil {
			return q.done, err
		}
	}
}

// Draw samples the token after text i for answers[i], for all texts at once on
// all cores; tokens[i] is −1 if answers[i] is nil. Take must follow for each
// token whose errs[i] is nil.
func (b *BatchGenerator) Draw(answers []*Answer) (tokens []int, errs []error) {
	tokens, errs = make([]int, len(answers)), make([]error, len(answers))
	cores.Run(len(answers), func(i int) {
		if answers[i] == nil {
			tokens[i] = -1
			return
		}
		logits, err := b.Logits(i)
		if err == nil {
			tokens[i], err = answers[i].Draw(logits)
		}
		errs[i] = err
	})
	return tokens, errs
}

// queue is the work of BatchGenerator.Complete.
type queue struct {
	b        *BatchGenerator
	tok      data.Tokenizer
	requests []Request
	next     int // the first request that is not begun
	done     []Completion
	at       []int     // the request that each text answers
	texts    []*Answer // nil for those that have nothing to do
	see      func(i int, c Completion) error
}

// fill gives text i a request to answer that needs a token, unless there is none
// left.
func (q *queue) fill(ctx context.Context, i int) error {
	for {
		if a := q.texts[i]; a == nil {
			if q.next == len(q.requests) || ctx.Err() != nil {
				return nil
			}
			if err := q.begin(i); err != nil {
				return errors.Wrapf(err, "request %d", q.at[i]+1)
			}
		} else if a.Continues(ctx) {
			return nil
		} else if err := q.end(i); err != nil {
			return err
		}
	}
}

// take continues the answer of text i with the token that was drawn for it. The
// last token of a text is not read any more: it becomes −1.
func (q *queue) take(ctx context.Context, i int, token *int, err error) error {
	a := q.texts[i]
	if err == nil {
		err = a.Take(*token)
	}
	if err != nil {
		return errors.Wrapf(err, "request %d", q.at[i]+1)
	}
	if !a.Continues(ctx) {
		*token = -1
	}
	return nil
}

// begin lets text i answer the next request.
func (q *queue) begin(i int) error {
	r := q.requests[q.next]
	q.at[i] = q.next
	q.next++
	if err := q.b.Begin(i, r.After); err != nil {
		return err
	}
	a, err := q.b.model.NewAnswer(q.tok, r, q.b.Tokens(i) == 0)
	if err != nil {
		return err
	}
	q.texts[i] = a
	return q.b.Read(i, a.prompt...)
}

// end delivers what text i has become.
func (q *queue) end(i int) error {
	a, k := q.texts[i], q.at[i]
	q.texts[i] = nil
	done, err := a.Finish()
	if err != nil {
		return err
	}
	q.done[k] = done
	if q.see == nil {
		return nil
	}
	return q.see(k, done)
}
