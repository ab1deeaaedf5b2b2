package serve

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/pkg/errors"
)

// common are the fields that both kinds of request have.
type common struct {
	Model             string         `json:"model"`
	N                 *int           `json:"n"`
	Temperature       *float64       `json:"temperature"`
	TopP              *float64       `json:"top_p"`
	TopK              int            `json:"top_k"`
	RepetitionPenalty float64        `json:"repetition_penalty"`
	Seed              *int64         `json:"seed"`
	Stop              stops          `json:"stop"`
	MaxTokens         *int           `json:"max_tokens"`
	Stream            bool           `json:"stream"`
	StreamOptions     *streamOptions `json:"stream_options"`

	// What is accepted if it asks for nothing.
	PresencePenalty  *float64           `json:"presence_penalty"`
	FrequencyPenalty *float64           `json:"frequency_penalty"`
	LogitBias        map[string]float64 `json:"logit_bias"`

	// What does not change the answer.
	User             json.RawMessage `json:"user"`
	Metadata         json.RawMessage `json:"metadata"`
	Store            json.RawMessage `json:"store"`
	ServiceTier      json.RawMessage `json:"service_tier"`
	SafetyIdentifier json.RawMessage `json:"safety_identifier"`
	PromptCacheKey   json.RawMessage `json:"prompt_cache_key"`
}

type streamOptions struct {
	IncludeUsage       bool `json:"include_usage"`
	IncludeObfuscation bool `json:"include_obfuscation"`
}

// stops are stop strings: one or a list.
type stops []string

func (s *stops) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		if string(raw) != "null" {
			*s = stops{one}
		}
		return nil
	}
	var several []string
	if err := json.Unmarshal(raw, &several); err != nil {
		return invalid("stop", "stop must be a string or a list of strings")
	}
	*s = several
	return nil
}

// The bounds of what one request may ask for.
const (
	maxChoices  = 128
	maxStops    = 16
	maxStopSize = 1000
	maxTops     = 20
)

// readRequest reads the body of a request.
func readRequest(r *http.Request, to any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return failure(http.StatusUnsupportedMediaType, "", "the request's Content-Type is %.100q; it must be application/json", r.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return failure(http.StatusRequestEntityTooLarge, "", "the request is larger than the %d bytes that are read", large.Limit)
	case err != nil:
		return failure(http.StatusBadRequest, "", "the request could not be read: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return explain(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return failure(http.StatusBadRequest, "", "there is more after the request's JSON object")
	}
	return nil
}

// explain says in a sentence why a body is not a request.
func explain(err error) error {
	var known *apiError
	if errors.As(err, &known) {
		return known
	}
	text := err.Error()
	if _, name, unknown := strings.Cut(text, "unknown field "); unknown {
		return invalid(strings.Trim(name, `"`), "the field %s is not supported; leave it out", name)
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		field := strings.TrimPrefix(kind.Field, "common.")
		want := map[reflect.Kind]string{reflect.Float64: "a number", reflect.Int: "a whole number", reflect.Int64: "a whole number", reflect.Bool: "true or false", reflect.String: "a string", reflect.Slice: "a list", reflect.Struct: "an object", reflect.Map: "an object"}
		return invalid(field, "the field %q is a %s; it must be %s", field, kind.Value, want[kind.Type.Kind()])
	}
	return failure(http.StatusBadRequest, "", "the request is not the JSON object that it should be: %s", strings.TrimPrefix(text, "json: "))
}

// check returns an error for the first field that cannot be served.
func (s *Server) check(c *common) error {
	if err := s.checkModel(c.Model); err != nil {
		return err
	}
	switch n := c.choices(); {
	case value(c.PresencePenalty, 0) != 0:
		return invalid("presence_penalty", "presence_penalty is not supported; leave it out, or use repetition_penalty")
	case value(c.FrequencyPenalty, 0) != 0:
		return invalid("frequency_penalty", "frequency_penalty is not supported; leave it out, or use repetition_penalty")
	case len(c.LogitBias) > 0:
		return invalid("logit_bias", "logit_bias is not supported; leave it out")
	case n < 1 || n > min(maxChoices, s.cfg.Queue+s.cfg.Rows):
		return invalid("n", "n is %d; it must be between 1 and %d", n, min(maxChoices, s.cfg.Queue+s.cfg.Rows))
	case len(c.Stop) > maxStops:
		return invalid("stop", "there are %d stop strings; there may be %d", len(c.Stop), maxStops)
	case c.MaxTokens != nil && (*c.MaxTokens < 0 || *c.MaxTokens > s.cfg.MaxTokens):
		return invalid("max_tokens", "max_tokens is %d; it must be between 0 and %d", *c.MaxTokens, s.cfg.MaxTokens)
	case c.StreamOptions != nil && !c.Stream:
		return invalid("stream_options", "stream_options is for requests with stream")
	}
	for _, stop := range c.Stop {
		if stop == "" || len(stop) > maxStopSize {
			return invalid("stop", "a stop string has %d bytes; it must have between 1 and %d", len(stop), maxStopSize)
		}
	}
	for _, f := range []struct {
		name string
		only xlstm.SamplerConfig
	}{
		{"temperature", xlstm.SamplerConfig{Temperature: value(c.Temperature, 1)}},
		{"top_p", xlstm.SamplerConfig{TopP: value(c.TopP, 1)}},
		{"top_k", xlstm.SamplerConfig{TopK: c.TopK}},
		{"repetition_penalty", xlstm.SamplerConfig{RepetitionPenalty: c.RepetitionPenalty}},
	} {
		if _, err := xlstm.NewSampler(f.only); err != nil {
			return invalid(f.name, "%s", strings.TrimPrefix(err.Error(), "xlstm: "))
		}
	}
	return nil
}

func value[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

func (c *common) choices() int { return value(c.N, 1) }

// request returns what the model is asked for. The seed of a choice is that of
// the request, or a random one, plus its number.
func (s *Server) request(c *common, prompt string, maxTokens int) xlstm.Request {
	seed := rand.Uint64()
	if c.Seed != nil {
		seed = uint64(*c.Seed)
	}
	return xlstm.Request{
		Prompt: prompt, MaxTokens: value(c.MaxTokens, min(maxTokens, s.cfg.MaxTokens)), Stop: c.Stop,
		Sampler: xlstm.SamplerConfig{
			Temperature: value(c.Temperature, 1), TopP: value(c.TopP, 1), TopK: c.TopK, RepetitionPenalty: c.RepetitionPenalty,
			Exclude: s.exclude, Seed: seed,
		},
	}
}
