package xlstm

import (
	"context"

	"github.com/gorgonia-xlstm/xlstm/data"
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
	tokens := make([]int, len(b.texts))
	for {
		busy := false
		for i := range tokens {
			t, err := q.token(ctx, i)
			if err != nil {
				return q.done, err
			}
			tokens[i] = t
			busy = busy || t >= 0
		}
		if !busy {
			return q.done, nil
		}
		if err := b.Step(tokens); err != nil {
			return q.done, err
		}
	}
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

// token draws the next token of text i, which may begin the next request; −1 if
// there is nothing left to do. The last token of a text is not read any more.
func (q *queue) token(ctx context.Context, i int) (int, error) {
	for {
		a := q.texts[i]
		if a == nil {
			if q.next == len(q.requests) || ctx.Err() != nil {
				return -1, nil
			}
			if err := q.begin(i); err != nil {
				return 0, errors.Wrapf(err, "request %d", q.at[i]+1)
			}
			a = q.texts[i]
		}
		if a.Continues(ctx) {
			t, err := q.draw(a, i)
			if err != nil {
				return 0, errors.Wrapf(err, "request %d", q.at[i]+1)
			}
			if a.Continues(ctx) {
				return t, nil
			}
		}
		if err := q.end(i); err != nil {
			return 0, err
		}
	}
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

// draw continues text i with a token.
func (q *queue) draw(a *Answer, i int) (int, error) {
	logits, err := q.b.Logits(i)
	if err != nil {
		return 0, err
	}
	t, err := a.Draw(logits)
	if err != nil {
		return 0, err
	}
	return t, a.Take(t)
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
