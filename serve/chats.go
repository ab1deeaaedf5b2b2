package serve

import (
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/chat"
)

// chatRequest is the body of POST /v1/chat/completions.
type chatRequest struct {
	common
	Messages            []chatMessage   `json:"messages"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	LogProbs            bool            `json:"logprobs"`
	TopLogProbs         *int            `json:"top_logprobs"`
	ResponseFormat      *responseFormat `json:"response_format"`
	Tools               []any           `json:"tools"`
	ToolChoice          any             `json:"tool_choice"`
	ParallelToolCalls   any             `json:"parallel_tool_calls"`
}

type responseFormat struct {
	Type string `json:"type"`
}

// chatMessage is a message of a request.
type chatMessage struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
	Name    string  `json:"name"`
	Refusal any     `json:"refusal"`
}

// content is the text of a message: a string, or a list of parts with text.
type content string

func (c *content) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*c = content(one)
		return nil
	}
	var parts []struct{ Type, Text string }
	if err := json.Unmarshal(raw, &parts); err != nil {
		return invalid("messages", "the content of a message must be a string, or a list of parts of type text")
	}
	var b strings.Builder
	for _, p := range parts {
		if p.Type != "text" {
			return invalid("messages", "a message has a part of type %.50q; only text is supported", p.Type)
		}
		b.WriteString(p.Text)
	}
	*c = content(b.String())
	return nil
}

// checkChat returns an error for the first field that cannot be served.
func (s *Server) checkChat(c *chatRequest) error {
	if c.MaxCompletionTokens != nil {
		c.MaxTokens = c.MaxCompletionTokens
	}
	if err := s.check(&c.common); err != nil {
		return err
	}
	switch {
	case len(c.Messages) == 0:
		return invalid("messages", "there are no messages; give at least one")
	case len(c.Tools) > 0:
		return invalid("tools", "tools are not supported; leave them out")
	case c.ResponseFormat != nil && c.ResponseFormat.Type != "text":
		return invalid("response_format", "the response_format %.50q is not supported; it must be text", c.ResponseFormat.Type)
	case c.TopLogProbs != nil && (*c.TopLogProbs < 0 || *c.TopLogProbs > maxTops):
		return invalid("top_logprobs", "top_logprobs is %d; it must be between 0 and %d", *c.TopLogProbs, maxTops)
	case c.TopLogProbs != nil && !c.LogProbs:
		return invalid("top_logprobs", "top_logprobs is for requests with logprobs")
	}
	for i, m := range c.Messages {
		if m.Role == "" {
			return invalid("messages", "message %d has no role", i)
		}
	}
	return nil
}

// chatAnswer is the answer to a chatRequest, or a part of it.
type chatAnswer = reply[chatChoice]

type chatChoice struct {
	Index        int           `json:"index"`
	Message      *said         `json:"message,omitempty"`
	Delta        *said         `json:"delta,omitempty"`
	LogProbs     *chatLogProbs `json:"logprobs"`
	FinishReason *string       `json:"finish_reason"`
}

// said is a message of the model or a part of one.
type said struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

type chatLogProbs struct {
	Content []chatToken `json:"content"`
}

type chatToken struct {
	Token   string      `json:"token"`
	LogProb float64     `json:"logprob"`
	Bytes   []int       `json:"bytes"`
	Tops    []chatToken `json:"top_logprobs,omitempty"`
}

func (s *Server) chats(w http.ResponseWriter, r *http.Request) {
	var c chatRequest
	if err := readRequest(r, &c); err != nil {
		fail(w, err)
		return
	}
	if err := s.checkChat(&c); err != nil {
		fail(w, err)
		return
	}
	messages := make([]chat.Message, len(c.Messages))
	for i, m := range c.Messages {
		messages[i] = chat.Message{Role: m.Role, Content: string(m.Content)}
	}
	prompt, err := s.format.Prompt(messages)
	if err != nil {
		fail(w, invalid("messages", "%v", err))
		return
	}
	req := s.request(&c.common, prompt, s.cfg.MaxTokens)
	req.Stop = append(req.Stop, s.format.Stop()...)
	req.WholePrompt = s.format.HasTemplate()
	tops := -1
	if c.LogProbs {
		tops = value(c.TopLogProbs, 0)
	}
	a, err := s.ask(r, []xlstm.Request{req}, c.choices(), tops)
	if err != nil {
		fail(w, err)
		return
	}
	defer a.stop()
	base := chatAnswer{ID: newID("chatcmpl"), Object: "chat.completion", Created: time.Now().Unix(), Model: s.cfg.Name}
	if c.Stream {
		s.streamChat(w, a, base, &c)
		return
	}
	s.wholeChat(w, a, base, &c)
}

func (s *Server) wholeChat(w http.ResponseWriter, a *asked, base chatAnswer, c *chatRequest) {
	base.Choices = make([]chatChoice, len(a.jobs))
	infos := make([][]tokenInfo, len(a.jobs))
	err := s.each(a, func(i int, got collected) error {
		infos[i] = append(infos[i], got.infos...)
		if got.done != nil {
			base.Choices[i] = chatChoice{Index: i, Message: &said{"assistant", &got.done.Text}, FinishReason: optional(reason(got.done.End))}
			if c.LogProbs {
				base.Choices[i].LogProbs = s.chatLogProbs(infos[i])
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

func (s *Server) streamChat(w http.ResponseWriter, a *asked, base chatAnswer, c *chatRequest) {
	out := newStream(w)
	base.Object = "chat.completion.chunk"
	send := func(choice chatChoice) error {
		base.Choices = []chatChoice{choice}
		return out.send(base)
	}
	var err error
	nothing := ""
	for i := range a.jobs {
		if err == nil {
			err = send(chatChoice{Index: i, Delta: &said{"assistant", &nothing}})
		}
	}
	if err == nil {
		err = s.each(a, func(i int, got collected) error {
			if got.text != "" {
				choice := chatChoice{Index: i, Delta: &said{Content: &got.text}}
				if c.LogProbs {
					choice.LogProbs = s.chatLogProbs(got.infos)
				}
				if err := send(choice); err != nil {
					return err
				}
			}
			if got.done == nil {
				return nil
			}
			return send(chatChoice{Index: i, Delta: &said{}, FinishReason: optional(reason(got.done.End))})
		})
	}
	if err == nil && c.StreamOptions != nil && c.StreamOptions.IncludeUsage {
		base.Choices, base.Usage = []chatChoice{}, &a.usage
		err = out.send(base)
	}
	out.close(err)
}

func (s *Server) chatLogProbs(infos []tokenInfo) *chatLogProbs {
	l := &chatLogProbs{Content: []chatToken{}}
	for _, t := range infos {
		one := s.chatToken(t.id, t.logProb)
		for _, top := range t.tops {
			one.Tops = append(one.Tops, s.chatToken(top.id, top.logProb))
		}
		l.Content = append(l.Content, one)
	}
	return l
}

func (s *Server) chatToken(id int, logProb float64) chatToken {
	t := chatToken{Token: s.tokenText(id), LogProb: logProb}
	for _, b := range []byte(s.lm.Tokenizer().Decode([]int{id})) {
		t.Bytes = append(t.Bytes, int(b))
	}
	return t
}

// newID returns the name of an answer.
func newID(prefix string) string {
	var raw [12]byte
	for i := range raw {
		raw[i] = byte(rand.Uint32())
	}
	return prefix + "-" + hex.EncodeToString(raw[:])
}
