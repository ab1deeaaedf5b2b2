package xlstm

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/tensor"
)

// TestStopsAcrossTokens: tokens are bytes, so that stop strings and characters
// lie across them. What is shown is whole characters.
func TestStopsAcrossTokens(t *testing.T) {
	cfg := smallConfig()
	cfg.VocabSize = 256
	m := smallModel(t, cfg, tensor.Float32)
	for name, c := range map[string]struct {
		tokens  string
		request Request
		text    string
		shown   []string
		end     End
	}{
		"no stop":                    {"ab", Request{}, "ab", []string{"a", "b"}, EndLength},
		"characters of many bytes":   {"é€x", Request{}, "é€x", []string{"é", "€", "x"}, EndLength},
		"half a character":           {"a\xe2\x82", Request{}, "a", []string{"a"}, EndLength},
		"half of the first":          {"\xf0\x9f\x92", Request{}, "", nil, EndLength},
		"half a character, stopped":  {"a\xe2\x82\x00", Request{StopTokens: []int{0}}, "a", []string{"a"}, EndStop},
		"half a character within":    {"a\xe2b", Request{}, "a\xe2b", []string{"a", "\xe2b"}, EndLength},
		"half before a stop":         {"a\xe2END", Request{Stop: []string{"END"}}, "a\xe2", []string{"a", "\xe2"}, EndStop},
		"bytes of no character":      {"a\x82\xff", Request{}, "a\x82\xff", []string{"a", "\x82", "\xff"}, EndLength},
		"the end of a text":          {"ab\x1ec", Request{}, "ab", []string{"a", "b"}, EndStop},
		"no end of a text":           {"ab\x1ec", Request{StopTokens: []int{}}, "ab\x1ec", []string{"a", "b", "\x1e", "c"}, EndLength},
		"a stop over three tokens":   {"abENDcd", Request{Stop: []string{"END"}}, "ab", []string{"a", "b"}, EndStop},
		"a stop of many bytes":       {"a€b", Request{Stop: []string{"€"}}, "a", []string{"a"}, EndStop},
		"the beginning of a stop":    {"aENd", Request{Stop: []string{"END"}}, "aENd", []string{"a", "ENd"}, EndLength},
		"cut in a stop's beginning":  {"aEN", Request{Stop: []string{"END"}}, "aEN", []string{"a", "EN"}, EndLength},
		"the first of two stops":     {"xyz", Request{Stop: []string{"z", "y"}}, "x", []string{"x"}, EndStop},
		"a stop within another":      {"abcd", Request{Stop: []string{"abcx", "bc"}}, "a", []string{"a"}, EndStop},
		"a stop at once":             {"abc", Request{Stop: []string{"a"}}, "", nil, EndStop},
		"a token":                    {"ab\x00c", Request{StopTokens: []int{1, 0}}, "ab", []string{"a", "b"}, EndStop},
		"a token in a stop's middle": {"aEN\x00c", Request{Stop: []string{"END"}, StopTokens: []int{0}}, "aEN", []string{"a", "EN"}, EndStop},
	} {
		t.Run(name, func(t *testing.T) {
			c.request.MaxTokens = len(c.tokens)
			a, err := m.NewAnswer(data.Bytes{}, c.request, true)
			if err != nil {
				t.Fatal(err)
			}
			var shown []string
			a.OnText(func(text string) error {
				shown = append(shown, text)
				return nil
			})
			for i := 0; a.Continues(t.Context()); i++ {
				if err := a.Take(int(c.tokens[i])); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := a.Finish(); err != nil {
				t.Fatal(err)
			}
			if a.done.Text != c.text || a.done.End != c.end || !slices.Equal(shown, c.shown) {
				t.Errorf("%+v, shown as %q; want %q, %q, shown as %q", a.done, shown, c.text, c.end, c.shown)
			}
		})
	}
}

// someRequests differ in everything.
func someRequests(after *Generator) []Request {
	return []Request{
		{Prompt: "ab", MaxTokens: 9, Sampler: SamplerConfig{Temperature: 1, Seed: 1}},
		{Prompt: strings.Repeat("a long beginning ", 9), MaxTokens: 14, Sampler: SamplerConfig{Temperature: 1, TopK: 50, Seed: 2}},
		{Prompt: "c", MaxTokens: 0},
		{Prompt: "d", MaxTokens: 3, Sampler: SamplerConfig{Temperature: 0.5, RepetitionPenalty: 1.2, Seed: 3}, Stop: []string{"never"}},
		{Prompt: "after", MaxTokens: 12, Sampler: SamplerConfig{Temperature: 1, Seed: 4}, After: after},
		{MaxTokens: 5, After: after, Sampler: SamplerConfig{Temperature: 1, Seed: 5}},
		{Prompt: "e", MaxTokens: 200, Sampler: SamplerConfig{Temperature: 1, Seed: 6}, StopTokens: []int{'q', 'r', 's', 't', 'u', 'v', 'w'}},
	}
}

// TestRequestsAreAnsweredAsAlone by generators of any number of texts.
func TestRequestsAreAnsweredAsAlone(t *testing.T) {
	cfg := smallConfig()
	cfg.VocabSize = 256
	m := smallModel(t, cfg, tensor.Float64) // where rounding does not change a draw
	before := alone(t, m, testutil.Tokens(8, 30, 256)...)
	var want []Completion
	for _, r := range someRequests(nil) {
		g := alone(t, m)
		if strings.HasPrefix(r.Prompt, "after") || r.Prompt == "" {
			if err := g.Read(testutil.Tokens(8, 30, 256)...); err != nil {
				t.Fatal(err)
			}
		}
		c, err := g.Complete(t.Context(), data.Bytes{}, r, nil)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, c)
	}
	for n := 1; n <= 8; n++ {
		b, err := m.NewBatchGenerator(n)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		shown := make([]Completion, len(want))
		got, err := b.Complete(t.Context(), data.Bytes{}, someRequests(before), func(i int, c Completion) error {
			shown[i] = c
			return nil
		})
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(shown) != fmt.Sprint(want) {
			t.Errorf("%d at once: %v\n%q, want\n%q", n, err, got, want)
		}
	}
	if want[6].End != EndStop || want[0].End != EndLength || before.Tokens() != 30 {
		t.Errorf("%+v, the generator before has %d tokens", want, before.Tokens())
	}
}

// TestCompletionsThatCannotBe: one sentence that says which request it is.
func TestCompletionsThatCannotBe(t *testing.T) {
	cfg := smallConfig()
	cfg.VocabSize = 256
	m := smallModel(t, cfg, tensor.Float32)
	other := smallModel(t, smallConfig(), tensor.Float32)
	b, err := m.NewBatchGenerator(2)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	good := Request{Prompt: "a", MaxTokens: 2}
	for name, c := range map[string]struct {
		request Request
		says    string
	}{
		"no prompt":                  {Request{MaxTokens: 2}, "at least one token"},
		"a sampler without sense":    {Request{Prompt: "a", Sampler: SamplerConfig{Temperature: -1}}, "temperature of -1"},
		"a generator of other model": {Request{Prompt: "a", After: alone(t, other, 1)}, "vocabulary of 256"},
	} {
		_, err := b.Complete(t.Context(), data.Bytes{}, []Request{good, c.request, good}, nil)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "request 2") {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	if _, err := alone(t, m, 1).Complete(t.Context(), data.Bytes{}, Request{After: alone(t, m, 1)}, nil); err == nil {
		t.Error("a generator answers a request for the text after another")
	}
	if err := b.Step([]int{256, -1}); err == nil || !strings.Contains(err.Error(), "token 256") {
		t.Errorf("a token outside the vocabulary gives %v", err)
	}
}

// TestCancelledCompletionsEndEarly with what was written so far.
func TestCancelledCompletionsEndEarly(t *testing.T) {
	cfg := smallConfig()
	cfg.VocabSize = 256
	m := smallModel(t, cfg, tensor.Float32)
	ctx, cancel := context.WithCancel(t.Context())
	b, err := m.NewBatchGenerator(2)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	long, short := Request{Prompt: "a", MaxTokens: 100}, Request{Prompt: "b", MaxTokens: 3}
	got, err := b.Complete(ctx, data.Bytes{}, []Request{long, short, long}, func(int, Completion) error {
		cancel()
		return nil
	})
	if err != nil || got[0].End != EndEarly || len(got[0].Tokens) == 0 || got[1].End != EndLength || got[2].End != "" {
		t.Errorf("%+v, %v", got, err)
	}
}
