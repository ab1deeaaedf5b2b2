package serve

import (
	"context"
	"net/http"

	"github.com/gorgonia-xlstm/xlstm"
)

// asked is a request that is being answered: its choices, each of them a job.
type asked struct {
	ctx   context.Context
	stop  func()
	jobs  []*job
	usage usage
}

// usage counts the tokens of a request.
type usage struct {
	PromptTokens     int           `json:"prompt_tokens"`
	CompletionTokens int           `json:"completion_tokens"`
	TotalTokens      int           `json:"total_tokens"`
	Details          promptDetails `json:"prompt_tokens_details"`
}

type promptDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

// ask submits n choices for each of the requests.
func (s *Server) ask(r *http.Request, requests []xlstm.Request, n, tops int) (*asked, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	ctx, cancelTimeout := context.WithTimeout(ctx, s.cfg.Timeout)
	unlink := context.AfterFunc(s.life, func() { cancel(context.Cause(s.life)) })
	a := &asked{ctx: ctx, stop: func() {
		unlink()
		cancelTimeout()
		cancel(nil)
	}}
	for _, req := range requests {
		if err := s.prepare(a, req, n, tops); err != nil {
			a.stop()
			return nil, err
		}
	}
	if err := s.engine.submit(a.jobs); err != nil {
		a.stop()
		return nil, err
	}
	return a, nil
}

// prepare adds the jobs of a request's choices, of which the first reads the
// prompt.
func (s *Server) prepare(a *asked, req xlstm.Request, n, tops int) error {
	var first *job
	for k := range n {
		choice := req
		choice.Sampler.Seed += uint64(k)
		text, err := s.lm.Model().NewAnswer(s.lm.Tokenizer(), choice, true)
		if err != nil {
			return invalid("prompt", "%v", err)
		}
		tokens := len(text.Prompt())
		switch {
		case tokens == 0:
			return invalid("prompt", "the prompt is empty, and the vocabulary has no token that begins a text; give at least one character")
		case tokens > s.cfg.MaxPrompt:
			return failure(http.StatusBadRequest, "context_length_exceeded", "the prompt has %d tokens; there may be %d", tokens, s.cfg.MaxPrompt)
		}
		j := newJob(a.ctx, text, tops)
		j.after = first
		if first == nil {
			first = j
			a.usage.PromptTokens += tokens
		}
		a.jobs = append(a.jobs, j)
	}
	return nil
}

// each calls f with what becomes of all choices, as it comes; the last for each
// has done. It returns the first error, also that of an answer that was
// interrupted.
func (s *Server) each(a *asked, f func(choice int, c collected) error) error {
	type news struct {
		choice int
		collected
	}
	all := make(chan news)
	finished := make(chan struct{})
	defer close(finished)
	for i, j := range a.jobs {
		go func() {
			for {
				n := news{i, j.collect()}
				select {
				case all <- n:
				case <-finished:
					return
				}
				if n.done != nil {
					return
				}
			}
		}()
	}
	told := false
	for left := len(a.jobs); left > 0; {
		n := <-all
		if !told && n.text != "" {
			told = true
			s.count.firstToken.observe(sinceArrival(a.jobs[n.choice]))
		}
		if n.done != nil {
			left--
			a.count(a.jobs[n.choice], n.done)
			err := n.err
			if err == nil {
				err = ended(a.ctx, n.done)
			}
			if err != nil {
				return err
			}
		}
		if err := f(n.choice, n.collected); err != nil {
			return err
		}
	}
	return nil
}

// count adds a choice that has come to its end to the usage.
func (a *asked) count(j *job, c *xlstm.Completion) {
	a.usage.CompletionTokens += len(c.Tokens)
	a.usage.TotalTokens = a.usage.PromptTokens + a.usage.CompletionTokens
	if j.after == nil {
		j.mu.Lock()
		a.usage.Details.CachedTokens += j.cached
		j.mu.Unlock()
	}
}

// reason returns why an answer ended, as clients know it.
func reason(end xlstm.End) string {
	if end == xlstm.EndLength {
		return "length"
	}
	return "stop"
}
