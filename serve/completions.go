package serve

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm"
)

// completionRequest is the body of POST /v1/completions.
type completionRequest struct {
	common
	Prompt   prompts         `json:"prompt"`
	LogProbs *int            `json:"logprobs"`
	Echo     *bool           `json:"echo"`
	BestOf   *int            `json:"best_of"`
	Suffix   json.RawMessage `json:"suffix"`
}

// prompts are texts or lists of tokens, one or several.
type prompts struct {
	texts  []string
	tokens [][]int
}

func (p *prompts) UnmarshalJSON(raw []byte) error {
	var one string
	var ids []int
	switch {
	case json.Unmarshal(raw, &one) == nil:
		p.texts = []string{one}
	case json.Unmarshal(raw, &p.texts) == nil:
	case json.Unmarshal(raw, &ids) == nil:
		p.texts, p.tokens = nil, [][]int{ids}
	case json.Unmarshal(raw, &p.tokens) == nil:
		p.texts = nil
	default:
		return invalid("prompt", "the prompt must be a string, a list of strings, a list of tokens, or a list of such lists")
	}
	return nil
}

// maxPrompts bounds the prompts of a request.
const maxPrompts = 128

// requests returns what the model is asked for, a request for each prompt.
func (s *Server) requests(c *completionRequest) ([]xlstm.Request, error) {
	const maxTokens = 16 // by OpenAI's default
	var list []xlstm.Request
	for _, t := range c.Prompt.texts {
		list = append(list, s.request(&c.common, t, maxTokens))
	}
	for _, ids := range c.Prompt.tokens {
		for _, id := range ids {
			if id < 0 || id >= s.lm.Tokenizer().Size() {
				return nil, invalid("prompt", "the token %d is outside the vocabulary of %d", id, s.lm.Tokenizer().Size())
			}
		}
		r := s.request(&c.common, "", maxTokens)
		r.PromptTokens, r.WholePrompt = ids, true
		list = append(list, r)
	}
	switch {
	case len(list) == 0:
		return nil, invalid("prompt", "there is no prompt; give a string or a list of strings")
	case len(list) > maxPrompts:
		return nil, invalid("prompt", "there are %d prompts; there may be %d", len(list), maxPrompts)
	}
	return list, nil
}

// echoes returns what choices repeat before their answers, prompt by prompt.
func (s *Server) echoes(c *completionRequest, requests []xlstm.Request) []string {
	texts := make([]string, len(requests))
	if value(c.Echo, false) {
		for i, r := range requests {
			texts[i] = r.Prompt + s.lm.Tokenizer().Decode(r.PromptTokens)
		}
	}
	return texts
}

// checkCompletion returns an error for the first field that cannot be served.
func (s *Server) checkCompletion(c *completionRequest) error {
	if err := s.check(&c.common); err != nil {
		return err
	}
	switch {
	case c.LogProbs != nil && (*c.LogProbs < 0 || *c.LogProbs > maxTops):
		return invalid("logprobs", "logprobs is %d; it must be between 0 and %d", *c.LogProbs, maxTops)
	case c.BestOf != nil && *c.BestOf != c.choices():
		return invalid("best_of", "best_of is not supported; leave it out")
	case len(c.Suffix) > 0 && string(c.Suffix) != "null":
		return invalid("suffix", "suffix is not supported; leave it out")
	}
	return nil
}

// reply is an answer in either form, or a part of one.
type reply[Choice any] struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []Choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
}

// completion is the answer to a completionRequest, or a part of it.
type completion = reply[completionChoice]

type completionChoice struct {
	Text         string              `json:"text"`
	Index        int                 `json:"index"`
	LogProbs     *completionLogProbs `json:"logprobs"`
	FinishReason *string             `json:"finish_reason"`
}

type completionLogProbs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogProbs []float64            `json:"token_logprobs"`
	TopLogProbs   []map[string]float64 `json:"top_logprobs"`
	TextOffset    []int                `json:"text_offset"` // in characters
}

func (s *Server) completions(w http.ResponseWriter, r *http.Request) {
	var c completionRequest
	if err := readRequest(r, &c); err != nil {
		fail(w, err)
		return
	}
	if err := s.checkCompletion(&c); err != nil {
		fail(w, err)
		return
	}
	requests, err := s.requests(&c)
	if err != nil {
		fail(w, err)
		return
	}
	a, err := s.ask(r, requests, c.choices(), value(c.LogProbs, -1))
	if err != nil {
		fail(w, err)
		return
	}
	defer a.stop()
	base := completion{ID: newID("cmpl"), Object: "text_completion", Created: time.Now().Unix(), Model: s.cfg.Name}
	echoes := s.echoes(&c, requests)
	if c.Stream {
		s.streamCompletion(w, a, base, &c, echoes)
		return
	}
	s.wholeCompletion(w, a, base, &c, echoes)
}

func (s *Server) wholeCompletion(w http.ResponseWriter, a *asked, base completion, c *completionRequest, echoes []string) {
	base.Choices = make([]completionChoice, len(a.jobs))
	infos := make([][]tokenInfo, len(a.jobs))
	err := s.each(a, func(i int, got collected) error {
		infos[i] = append(infos[i], got.infos...)
		if got.done != nil {
			echo := echoes[i/c.choices()]
			base.Choices[i] = completionChoice{Text: echo + got.done.Text, Index: i, FinishReason: optional(reason(got.done.End))}
			if c.LogProbs != nil {
				base.Choices[i].LogProbs = s.completionLogProbs(infos[i], got.done.Text, echo)
			}
		}
		return nil
	})
	if err != nil {
		fail(w, err)
		return
	}
	base.Usage = &a.usage
	answer(w, http.StatusOK, base)
}

func (s *Server) streamCompletion(w http.ResponseWriter, a *asked, base completion, c *completionRequest, echoes []string) {
	out := newStream(w)
	written := make([]string, len(a.jobs))
	begun := make([]bool, len(a.jobs))
	err := s.each(a, func(i int, got collected) error {
		echo, choice := echoes[i/c.choices()], completionChoice{Text: got.text, Index: i}
		written[i] += got.text
		if c.LogProbs != nil && len(got.infos) > 0 {
			choice.LogProbs = s.completionLogProbs(got.infos, written[i], echo)
		}
		if !begun[i] {
			choice.Text, begun[i] = echo+got.text, true
		}
		if got.done != nil {
			choice.FinishReason = optional(reason(got.done.End))
		}
		base.Choices = []completionChoice{choice}
		return out.send(base)
	})
	if err == nil && c.StreamOptions != nil && c.StreamOptions.IncludeUsage {
		base.Choices, base.Usage = []completionChoice{}, &a.usage
		err = out.send(base)
	}
	out.close(err)
}

// completionLogProbs tells of tokens of a text, which comes after another.
func (s *Server) completionLogProbs(infos []tokenInfo, text, before string) *completionLogProbs {
	l := &completionLogProbs{Tokens: []string{}, TokenLogProbs: []float64{}, TopLogProbs: []map[string]float64{}, TextOffset: []int{}}
	for _, t := range infos {
		l.Tokens = append(l.Tokens, s.tokenText(t.id))
		l.TokenLogProbs = append(l.TokenLogProbs, t.logProb)
		tops := make(map[string]float64)
		for _, top := range t.tops {
			tops[s.tokenText(top.id)] = top.logProb
		}
		l.TopLogProbs = append(l.TopLogProbs, tops)
		l.TextOffset = append(l.TextOffset, utf8.RuneCountInString(before)+utf8.RuneCountInString(text[:min(t.start, len(text))]))
	}
	return l
}

// tokenText returns the text of a token, of a part of a character its bytes as
// escapes.
func (s *Server) tokenText(id int) string {
	text := s.lm.Tokenizer().Decode([]int{id})
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	b.WriteString("bytes:")
	for _, c := range []byte(text) {
		const digits = "0123456789abcdef"
		b.WriteString(`\x` + string(digits[c>>4]) + string(digits[c&15]))
	}
	return b.String()
}
