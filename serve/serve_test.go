package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/cores"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// device is what XLSTM_DEVICE names, on which the models of the tests then are, with
// XLSTM_PRECISION; nil for models without a device.
var device = sync.OnceValues(func() (xlstm.Device, error) {
	name := os.Getenv("XLSTM_DEVICE")
	if name == "" {
		return nil, nil
	}
	return xlstm.OpenDevice(name, xlstm.Precision(os.Getenv("XLSTM_PRECISION")))
})

// newServer serves testdata/countdown of the module until the test ends, which
// sees that all rows are free then.
func newServer(t testing.TB, cfg Config) (*Server, *httptest.Server) {
	t.Helper()
	d, err := device()
	if err != nil {
		t.Fatal(err)
	}
	lm, err := xlstm.Open("../testdata/countdown", xlstm.WithDevice(d))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Name = "countdown"
	s, err := New(lm, cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		h.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for i, j := range s.engine.rows {
			if j != nil {
				t.Errorf("row %d still has a job", i)
			}
		}
		if err := lm.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, h
}

// post sends a request and returns its status and body.
func post(t testing.TB, h *httptest.Server, path string, body string) (int, []byte) {
	t.Helper()
	r, err := http.Post(h.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, got
}

// ok sends a request that is answered.
func ok[T any](t testing.TB, h *httptest.Server, path, body string) (got T) {
	t.Helper()
	status, raw := post(t, h, path, body)
	if status != http.StatusOK {
		t.Fatalf("%s: status %d: %s", body, status, raw)
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// events sends a request for a stream and returns the data of its events.
func events(t testing.TB, h *httptest.Server, path, body string) (all []string) {
	t.Helper()
	status, raw := post(t, h, path, body)
	if status != http.StatusOK {
		t.Fatalf("%s: status %d: %s", body, status, raw)
	}
	for s := bufio.NewScanner(bytes.NewReader(raw)); s.Scan(); {
		if line, isData := strings.CutPrefix(s.Text(), "data: "); isData {
			all = append(all, line)
		} else if s.Text() != "" {
			t.Errorf("a line of a stream is %q", s.Text())
		}
	}
	if len(all) == 0 || all[len(all)-1] != "[DONE]" {
		t.Fatalf("a stream ends without [DONE]: %q", all)
	}
	return all[:len(all)-1]
}

// TestCompletionsAreThoseOfABatch of as many rows, alone and with others, whole
// and as a stream, with the cache and without.
func TestCompletionsAreThoseOfABatch(t *testing.T) {
	lm, err := xlstm.Open("../testdata/countdown")
	if err != nil {
		t.Fatal(err)
	}
	const rows = 3
	b, err := lm.Model().NewBatchGenerator(rows)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	long := strings.Repeat("9 8 7 6 5 4 3 2 1 go. ", 9) // 198 tokens: 3 chunks and a rest
	var requests []xlstm.Request
	var bodies []string
	for i, prompt := range []string{"9 8 7 ", "9", long, long + "9 8", "2 1"} {
		seed := uint64(i)
		requests = append(requests, lm.Request(prompt, xlstm.Seed(seed), xlstm.Temperature(1.3), xlstm.TopP(0.9), xlstm.MaxTokens(30), xlstm.Stop("go")))
		bodies = append(bodies, fmt.Sprintf(`{"model":"countdown","prompt":%q,"seed":%d,"temperature":1.3,"top_p":0.9,"max_tokens":30,"stop":"go"}`, prompt, seed))
	}
	// As the server reads prompts: in chunks of 64.
	want := make([]xlstm.Completion, len(requests))
	for i, r := range requests {
		want[i] = aloneInBatch(t, b, lm, r)
	}
	for _, cacheBytes := range []int64{-1, 0} {
		_, h := newServer(t, Config{Rows: rows, CacheBytes: cacheBytes, Exact: true})
		var wg sync.WaitGroup
		for round := range 3 {
			for i, body := range bodies {
				wg.Go(func() {
					got := ok[completion](t, h, "/v1/completions", body)
					if c := got.Choices[0]; c.Text != want[i].Text || *c.FinishReason != reason(want[i].End) || got.Usage.CompletionTokens != len(want[i].Tokens) {
						t.Errorf("round %d: %q answered with %q, %s, %+v; want %q, %s, %d tokens", round, requests[i].Prompt, c.Text, *c.FinishReason, got.Usage, want[i].Text, want[i].End, len(want[i].Tokens))
					}
					streamed, end := "", ""
					for _, raw := range events(t, h, "/v1/completions", strings.Replace(body, "{", `{"stream":true,`, 1)) {
						var e completion
						if err := json.Unmarshal([]byte(raw), &e); err != nil {
							t.Error(err)
						}
						streamed += e.Choices[0].Text
						if e.Choices[0].FinishReason != nil {
							end = *e.Choices[0].FinishReason
						}
					}
					if streamed != want[i].Text || end != reason(want[i].End) {
						t.Errorf("round %d: streamed %q, %s; want %q", round, streamed, end, want[i].Text)
					}
				})
			}
		}
		wg.Wait()
		if cached := ok[completion](t, h, "/v1/completions", bodies[2]).Usage.Details.CachedTokens; cached != map[int64]int{-1: 0, 0: len(long)}[cacheBytes] {
			t.Errorf("cache of %d: %d tokens of a prompt that was read before are from the cache", cacheBytes, cached)
		}
	}
}

// aloneInBatch answers a request in text 1 of a batch, as a server reads it.
func aloneInBatch(t *testing.T, b *xlstm.BatchGenerator, lm *xlstm.LM, r xlstm.Request) xlstm.Completion {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	a, err := lm.Model().NewAnswer(lm.Tokenizer(), r, true)
	check(err)
	check(b.Begin(1, nil))
	for at := 0; at < len(a.Prompt()); at += chunk {
		check(b.Read(1, a.Prompt()[at:min(at+chunk, len(a.Prompt()))]...))
	}
	for a.Continues(t.Context()) {
		logits, err := b.Logits(1)
		check(err)
		token, err := a.Draw(logits)
		check(err)
		check(a.Take(token))
		check(b.Step([]int{-1, token, -1}))
	}
	c, err := a.Finish()
	check(err)
	return c
}

// TestChoicesOfARequest: several prompts and several choices of each, of which
// each has its own seed, echo, and tokens as a prompt.
func TestChoicesOfARequest(t *testing.T) {
	_, h := newServer(t, Config{Rows: 2})
	got := ok[completion](t, h, "/v1/completions", `{"model":"countdown","prompt":["9 8","5 4"],"n":3,"seed":5,"temperature":2,"max_tokens":12,"echo":true,"user":"me"}`)
	if len(got.Choices) != 6 || got.Usage.PromptTokens != 6 || got.Usage.CompletionTokens != 72 || got.Usage.TotalTokens != 78 {
		t.Fatalf("%+v %+v", got.Choices, got.Usage)
	}
	for i, c := range got.Choices {
		prompt := []string{"9 8", "5 4"}[i/3]
		one := ok[completion](t, h, "/v1/completions", fmt.Sprintf(`{"model":"countdown","prompt":%q,"seed":%d,"temperature":2,"max_tokens":12}`, prompt, 5+i%3))
		if c.Index != i || c.Text != prompt+one.Choices[0].Text {
			t.Errorf("choice %d is %q, alone it is %q", i, c.Text, one.Choices[0].Text)
		}
	}
	if got.Choices[0].Text == got.Choices[1].Text {
		t.Error("two choices are the same")
	}
	lm, err := xlstm.Open("../testdata/countdown")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := json.Marshal([][]int{lm.Tokenizer().Encode("9 8"), lm.Tokenizer().Encode("5 4")})
	if err != nil {
		t.Fatal(err)
	}
	tokens := ok[completion](t, h, "/v1/completions", `{"model":"countdown","prompt":`+string(ids)+`,"n":3,"seed":5,"temperature":2,"max_tokens":12,"echo":true}`)
	for i, c := range tokens.Choices {
		if c.Text != got.Choices[i].Text {
			t.Errorf("choice %d is %q for tokens and %q for their text", i, c.Text, got.Choices[i].Text)
		}
	}
}

// TestLogProbs: those of the sampled tokens are those of the model, the likeliest
// come first, and streamed ones are the same.
func TestLogProbs(t *testing.T) {
	_, h := newServer(t, Config{Rows: 2})
	const body = `{"model":"countdown","prompt":"9 8 ","temperature":0,"max_tokens":9,"logprobs":2,"stop":"3"}`
	got := ok[completion](t, h, "/v1/completions", body).Choices[0]
	l := got.LogProbs
	if strings.Join(l.Tokens, "") != got.Text || len(l.TextOffset) != len(got.Text) || l.TextOffset[3] != 3 {
		t.Fatalf("the tokens %q of %q begin at %d", l.Tokens, got.Text, l.TextOffset)
	}
	g, err := func() (*xlstm.Generator, error) {
		lm, err := xlstm.Open("../testdata/countdown")
		if err != nil {
			return nil, err
		}
		g, err := lm.Model().NewGenerator()
		if err != nil {
			return nil, err
		}
		return g, g.Read(lm.Tokenizer().Encode("9 8 ")...)
	}()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	lm, _ := xlstm.Open("../testdata/countdown")
	want, err := g.LogProbs(lm.Tokenizer().Encode(got.Text)...)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range l.TokenLogProbs {
		if math.Abs(p-want[i]) > 1e-4 || l.TopLogProbs[i][l.Tokens[i]] != p || len(l.TopLogProbs[i]) != 2 {
			t.Errorf("token %d, %q: %v, want %v; the likeliest are %v", i, l.Tokens[i], p, want[i], l.TopLogProbs[i])
		}
	}
	var streamed []float64
	for _, raw := range events(t, h, "/v1/completions", strings.Replace(body, "{", `{"stream":true,"stream_options":{"include_usage":true},`, 1)) {
		var e completion
		if err := json.Unmarshal([]byte(raw), &e); err != nil {
			t.Fatal(err)
		}
		for _, c := range e.Choices {
			if c.LogProbs != nil {
				streamed = append(streamed, c.LogProbs.TokenLogProbs...)
			}
		}
		if len(e.Choices) == 0 && e.Usage.PromptTokens != 4 {
			t.Errorf("usage %+v", e.Usage)
		}
	}
	if fmt.Sprint(streamed) != fmt.Sprint(l.TokenLogProbs) {
		t.Errorf("streamed %v, whole %v", streamed, l.TokenLogProbs)
	}
	c := ok[chatAnswer](t, h, "/v1/chat/completions", `{"model":"countdown","messages":[{"role":"user","content":"9"}],"temperature":0,"max_completion_tokens":3,"logprobs":true,"top_logprobs":3}`)
	tokens := c.Choices[0].LogProbs.Content
	if len(tokens) != 3 || len(tokens[0].Tops) != 3 || tokens[0].Tops[0].Token != tokens[0].Token || tokens[0].Tops[0].LogProb < tokens[0].Tops[1].LogProb || len(tokens[0].Bytes) != 1 {
		t.Errorf("%+v", tokens)
	}
}

// TestChat: a transcript without a template, in one answer and as a stream.
func TestChat(t *testing.T) {
	_, h := newServer(t, Config{Rows: 2, MaxTokens: 20})
	const body = `{"model":"countdown","messages":[{"role":"system","content":"count"},{"role":"user","content":[{"type":"text","text":"9 8 "},{"type":"text","text":"7"}]}],"temperature":0}`
	got := ok[chatAnswer](t, h, "/v1/chat/completions", body)
	prompt := len("System: count\n\nUser: 9 8 7\n\nAssistant:")
	if got.Object != "chat.completion" || got.Usage.PromptTokens != prompt || got.Choices[0].Message.Role != "assistant" || *got.Choices[0].Message.Content == "" {
		t.Errorf("%+v %+v", got, got.Usage)
	}
	text, role := "", ""
	for _, raw := range events(t, h, "/v1/chat/completions", strings.Replace(body, "{", `{"stream":true,`, 1)) {
		var e chatAnswer
		if err := json.Unmarshal([]byte(raw), &e); err != nil {
			t.Fatal(err)
		}
		role += e.Choices[0].Delta.Role
		if e.Object != "chat.completion.chunk" {
			t.Error(raw)
		}
		if e.Choices[0].Delta.Content != nil {
			text += *e.Choices[0].Delta.Content
		}
	}
	if role != "assistant" || text != *got.Choices[0].Message.Content {
		t.Errorf("streamed %q by %q, want %q", text, role, *got.Choices[0].Message.Content)
	}
}

// TestRequestsThatAreRefused say in one sentence why, in the form that clients
// of the protocol read.
func TestRequestsThatAreRefused(t *testing.T) {
	_, h := newServer(t, Config{Rows: 2, MaxBody: 2000, MaxPrompt: 100, MaxTokens: 50})
	const completions, chats = "/v1/completions", "/v1/chat/completions"
	for _, c := range []struct {
		path, body string
		status     int
		want       string
	}{
		{completions, `{`, 400, "not the JSON object"},
		{completions, `[]`, 400, "must be"},
		{completions, `{"model":"countdown","prompt":"9"} x`, 400, "more after"},
		{completions, `{"model":"countdown","prompt":"9","temperatur":1}`, 400, `field "temperatur" is not supported`},
		{completions, `{"model":"countdown","prompt":"9","temperature":"hot"}`, 400, `"temperature" is a string; it must be a number`},
		{completions, `{"model":"gpt-4","prompt":"9"}`, 404, `no model "gpt-4" here; there is "countdown"`},
		{completions, `{"prompt":"9"}`, 404, "no model"},
		{completions, `{"model":"countdown"}`, 400, "no prompt"},
		{completions, `{"model":"countdown","prompt":""}`, 400, "the prompt is empty"},
		{completions, `{"model":"countdown","prompt":{}}`, 400, "the prompt must be"},
		{completions, `{"model":"countdown","prompt":[99]}`, 400, "token 99 is outside"},
		{completions, `{"model":"countdown","prompt":"9","temperature":-1}`, 400, "temperature of -1"},
		{completions, `{"model":"countdown","prompt":"9","top_p":2}`, 400, "probability of 2"},
		{completions, `{"model":"countdown","prompt":"9","top_k":-2}`, 400, "top -2"},
		{completions, `{"model":"countdown","prompt":"9","n":0}`, 400, "n is 0"},
		{completions, `{"model":"countdown","prompt":"9","n":1000}`, 400, "n is 1000"},
		{completions, `{"model":"countdown","prompt":"9","max_tokens":51}`, 400, "between 0 and 50"},
		{completions, `{"model":"countdown","prompt":"9","max_tokens":-1}`, 400, "max_tokens is -1"},
		{completions, `{"model":"countdown","prompt":"9","stop":""}`, 400, "stop string has 0 bytes"},
		{completions, `{"model":"countdown","prompt":"9","stop":7}`, 400, "stop must be"},
		{completions, `{"model":"countdown","prompt":"9","logprobs":21}`, 400, "logprobs is 21"},
		{completions, `{"model":"countdown","prompt":"9","best_of":2}`, 400, "best_of"},
		{completions, `{"model":"countdown","prompt":"9","suffix":"x"}`, 400, "suffix"},
		{completions, `{"model":"countdown","prompt":"9","logit_bias":{"1":2}}`, 400, "logit_bias"},
		{completions, `{"model":"countdown","prompt":"9","presence_penalty":1}`, 400, "presence_penalty"},
		{completions, `{"model":"countdown","prompt":"9","stream_options":{}}`, 400, "stream_options"},
		{completions, `{"model":"countdown","prompt":"` + strings.Repeat("9", 101) + `"}`, 400, "101 tokens; there may be 100"},
		{completions, `{"model":"countdown","prompt":"` + strings.Repeat("9", 3000) + `"}`, 413, "larger than the 2000 bytes"},
		{chats, `{"model":"countdown","messages":[]}`, 400, "no messages"},
		{chats, `{"model":"countdown","messages":[{"content":"x"}]}`, 400, "message 0 has no role"},
		{chats, `{"model":"countdown","messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, 400, "only text"},
		{chats, `{"model":"countdown","messages":[{"role":"user","content":3}]}`, 400, "content of a message"},
		{chats, `{"model":"countdown","messages":[{"role":"user","content":"x"}],"tools":[{}]}`, 400, "tools are not supported"},
		{chats, `{"model":"countdown","messages":[{"role":"user","content":"x"}],"top_logprobs":2}`, 400, "requests with logprobs"},
		{chats, `{"model":"countdown","messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_object"}}`, 400, "must be text"},
		{"/v1/embeddings", `{}`, 404, "there is no POST /v1/embeddings"},
	} {
		status, raw := post(t, h, c.path, c.body)
		var got struct{ Error apiError }
		if err := json.Unmarshal(raw, &got); err != nil || status != c.status || !strings.Contains(got.Error.Message, c.want) || got.Error.Type == "" || strings.Contains(got.Error.Message, "\n") {
			t.Errorf("%.80s: status %d: %s; want %d and %q", c.body, status, raw, c.status, c.want)
		}
	}
	r, err := http.Post(h.URL+completions, "text/plain", strings.NewReader("{}"))
	if err != nil || r.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("plain text: %v, %v", r.Status, err)
	}
	r.Body.Close()
}

// get returns the status and the body of a page.
func get(t *testing.T, h *httptest.Server, path, key string) (int, string) {
	t.Helper()
	r, err := http.NewRequest("GET", h.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	raw, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(raw)
}

// TestAPIKey is asked for everywhere but at /healthz.
func TestAPIKey(t *testing.T) {
	_, h := newServer(t, Config{Rows: 1, APIKey: "secret"})
	for _, path := range []string{"/v1/models", "/v1/models/countdown", "/metrics", "/nothing"} {
		for _, key := range []string{"", "wrong", "secrets"} {
			if status, body := get(t, h, path, key); status != http.StatusUnauthorized || !strings.Contains(body, "API key") {
				t.Errorf("%s with the key %q: %d %s", path, key, status, body)
			}
		}
		if status, body := get(t, h, path, "secret"); status == http.StatusUnauthorized {
			t.Errorf("%s with the key: %d %s", path, status, body)
		}
	}
	if status, body := get(t, h, "/healthz", ""); status != http.StatusOK || !strings.Contains(body, "ok") {
		t.Errorf("/healthz: %d %s", status, body)
	}
	if status, _ := post(t, h, "/v1/completions", `{"model":"countdown","prompt":"9"}`); status != http.StatusUnauthorized {
		t.Errorf("a completion without the key: %d", status)
	}
}

// forever asks for an answer that does not end by itself, until cancelled.
func forever(t *testing.T, h *httptest.Server) (leave func(), first <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	r, err := http.NewRequestWithContext(ctx, "POST", h.URL+"/v1/completions", strings.NewReader(`{"model":"countdown","prompt":"9","max_tokens":1000000,"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			close(begun)
			return
		}
		defer a.Body.Close()
		buf := make([]byte, 1)
		_, _ = io.ReadFull(a.Body, buf)
		close(begun)
		_, _ = io.Copy(io.Discard, a.Body)
	}()
	return func() { cancel(); <-ended }, begun
}

// TestRowsAndQueue: when rows and queue are full a request is refused, and a
// client that leaves frees its place in either.
func TestRowsAndQueue(t *testing.T) {
	s, h := newServer(t, Config{Rows: 1, Queue: 1, MaxTokens: 1 << 20})
	leaveRow, begun := forever(t, h)
	<-begun
	leaveQueue, _ := forever(t, h)
	testutil.Await(t, "one waits", func() bool { return s.engine.waiting() == 1 })
	status, raw := post(t, h, "/v1/completions", `{"model":"countdown","prompt":"9"}`)
	if status != http.StatusTooManyRequests || !strings.Contains(string(raw), "too many requests") {
		t.Errorf("%d %s", status, raw)
	}
	leaveQueue()
	leaveRow()
	testutil.Await(t, "no row is taken and none waits", func() bool { return s.engine.active.Load() == 0 && s.engine.waiting() == 0 })
	ok[completion](t, h, "/v1/completions", `{"model":"countdown","prompt":"9"}`)
	if _, page := get(t, h, "/metrics", ""); !strings.Contains(page, `xlstm_requests_total{path="POST /v1/completions",code="429"} 1`) {
		t.Error(page)
	}
}

// TestTimeout ends an answer, in one piece and as a stream.
func TestTimeout(t *testing.T) {
	s, h := newServer(t, Config{Rows: 1, MaxTokens: 1 << 20, Timeout: 100 * time.Millisecond})
	status, raw := post(t, h, "/v1/completions", `{"model":"countdown","prompt":"9","max_tokens":1000000}`)
	if status != http.StatusGatewayTimeout || !strings.Contains(string(raw), "took too long") {
		t.Errorf("%d %s", status, raw)
	}
	for patience := 100 * time.Millisecond; ; patience *= 2 { // until the first text comes in time
		s, h = newServer(t, Config{Rows: 1, MaxTokens: 1 << 20, Timeout: patience})
		status, raw = post(t, h, "/v1/completions", `{"model":"countdown","prompt":"9","max_tokens":1000000,"stream":true}`)
		if status != http.StatusGatewayTimeout || patience > time.Minute {
			break
		}
	}
	if status != http.StatusOK || !strings.Contains(string(raw), `"error"`) || strings.Contains(string(raw), "[DONE]") {
		t.Errorf("%d %.200s", status, raw[max(0, len(raw)-200):])
	}
	testutil.Await(t, "the row is free", func() bool { return s.engine.active.Load() == 0 })
}

// TestDrain: answers under way come to their end and others are refused; when
// the time is up, answers are interrupted.
func TestDrain(t *testing.T) {
	s, h := newServer(t, Config{Rows: 2, MaxTokens: 1 << 20})
	result := make(chan string)
	go func() {
		_, raw := post(t, h, "/v1/completions", `{"model":"countdown","prompt":"9","max_tokens":3000,"seed":1}`)
		result <- string(raw)
	}()
	testutil.Await(t, "one is answered", func() bool { return s.engine.active.Load() == 1 })
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if raw := <-result; !strings.Contains(raw, `"completion_tokens":3000`) {
		t.Errorf("%.300s", raw)
	}
	if status, raw := post(t, h, "/v1/completions", `{"model":"countdown","prompt":"9"}`); status != http.StatusServiceUnavailable || !strings.Contains(string(raw), "shutting down") {
		t.Errorf("%d %s", status, raw)
	}
	if status, _ := get(t, h, "/healthz", ""); status != http.StatusServiceUnavailable {
		t.Errorf("/healthz: %d", status)
	}

	s, h = newServer(t, Config{Rows: 2, MaxTokens: 1 << 20})
	go func() {
		status, raw := post(t, h, "/v1/completions", `{"model":"countdown","prompt":"9","max_tokens":1000000}`)
		result <- fmt.Sprint(status, string(raw))
	}()
	testutil.Await(t, "one is answered", func() bool { return s.engine.active.Load() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Drain(ctx); err != context.DeadlineExceeded {
		t.Error(err)
	}
	if got := <-result; !strings.HasPrefix(got, "503") {
		t.Error(got)
	}
}

// TestCacheIsBounded: positions that were not used for long go, and large ones
// are kept at fewer places.
func TestCacheIsBounded(t *testing.T) {
	lm, err := xlstm.Open("../testdata/countdown")
	if err != nil {
		t.Fatal(err)
	}
	g, err := lm.Model().NewGenerator()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	at := g.Position()
	size := at.Bytes()
	c := newCache(3*size+1, size)
	name := func(i int) key { return key{byte(i)} }
	for i := range 3 {
		c.put(name(i), at)
	}
	c.find(nil, name(0)) // which was used last now
	c.put(name(3), at)
	for i, want := range []bool{true, false, true, true} {
		if got := c.get(name(i)) != nil; got != want {
			t.Errorf("position %d is kept: %v", i, got)
		}
	}
	if c.bytes != 3*size || c.order.Len() != 3 {
		t.Errorf("%d bytes in %d positions", c.bytes, c.order.Len())
	}
	if small, large := newCache(1<<40, 1000).spacing, newCache(1<<30, 1<<27).spacing; small != 1 || large < 16 {
		t.Errorf("spacing %d for small positions, %d for large", small, large)
	}
	if c := newCache(-1, size); c.wants(0, 1) {
		t.Error("a cache that is off wants something")
	}
	a := make([]int, 200)
	b := append([]int(nil), a...)
	b[150] = 1
	cutsA, wholeA := keysOf(a)
	cutsB, wholeB := keysOf(b)
	if len(cutsA) != 3 || cutsA[1] != cutsB[1] || cutsA[2] == cutsB[2] || wholeA == wholeB || wholeA == cutsA[2] {
		t.Error("keys do not tell prompts apart, or not from where they differ")
	}
}

// TestManyClients: 64 at once, who come back, and nothing is left of them.
func TestManyClients(t *testing.T) {
	cores.Run(1<<10, func(int) {}) // whose goroutines remain
	before := runtime.NumGoroutine()
	s, h := newServer(t, Config{Rows: 16})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for k := range 4 {
				body := fmt.Sprintf(`{"model":"countdown","prompt":"9 8 7 %d","max_tokens":%d,"temperature":1,"seed":%d,"stream":%v}`, i%10, 10+i, i, k%2 == 0)
				r, err := client.Post(h.URL+"/v1/completions", "application/json", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				raw, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil || r.StatusCode != http.StatusOK || bytes.Contains(raw, []byte(`"error"`)) {
					t.Errorf("%v %d %.200s", err, r.StatusCode, raw)
				}
			}
		})
	}
	wg.Wait()
	if n := s.engine.count.generatedTokens.value(); n < 64*4*10 {
		t.Errorf("%v tokens were generated", n)
	}
	testutil.Await(t, "all rows are free", func() bool { return s.engine.active.Load() == 0 && s.engine.waiting() == 0 })
	t.Cleanup(func() {
		if t.Failed() {
			pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		}
	})
	// Some belong to the test server and the engine. A connection that was being made
	// for a request which another one has served may be idle only now.
	testutil.Await(t, "the goroutines have ended", func() bool {
		client.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		h.CloseClientConnections()
		return runtime.NumGoroutine() <= before+6
	})
}
