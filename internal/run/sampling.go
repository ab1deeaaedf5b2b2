package run

import (
	"context"
	"io"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// Complete answers a request with a generator. The text is written to out, if
// not nil, as soon as it is certain, and is returned.
func Complete(ctx context.Context, g *xlstm.Generator, tok data.Tokenizer, r xlstm.Request, out io.Writer) (string, error) {
	c, err := g.Complete(ctx, tok, r, func(text string) error {
		if out == nil {
			return nil
		}
		_, err := io.WriteString(out, text)
		return err
	})
	return c.Text, err
}

// CheckSampler returns an error for the first invalid value. name returns what the
// error calls the value, as in Settings.
func CheckSampler(c xlstm.SamplerConfig, name func(setting string) string) error {
	for _, one := range []struct {
		name string
		only xlstm.SamplerConfig
	}{
		{"temperature", xlstm.SamplerConfig{Temperature: c.Temperature}},
		{"top_k", xlstm.SamplerConfig{TopK: c.TopK}},
		{"top_p", xlstm.SamplerConfig{TopP: c.TopP}},
		{"penalty", xlstm.SamplerConfig{RepetitionPenalty: c.RepetitionPenalty}},
	} {
		if _, err := xlstm.NewSampler(one.only); err != nil {
			return errors.Errorf("%s: %s", name(one.name), strings.TrimPrefix(err.Error(), "xlstm: "))
		}
	}
	return nil
}

// sample asks for a sample of a run.
func (r *Session) sample(prompt string, tokens int) xlstm.Request {
	return xlstm.Request{
		Prompt: prompt, MaxTokens: tokens, Sampler: xlstm.SamplerConfig{
			Temperature: r.s.Temperature, TopP: r.s.TopP, Exclude: data.WithoutToken(r.text.Tokenizer, r.model.Config().VocabSize), Seed: r.s.Seed,
		},
	}
}

// Prompt returns the beginning of samples.
func (r *Session) Prompt() string {
	if r.s.Prompt != "" {
		return r.s.Prompt
	}
	return r.text.someLine()
}

// WriteOn generates the given number of tokens after a prompt and writes the
// text to out.
func (r *Session) WriteOn(ctx context.Context, prompt string, tokens int, out io.Writer) (string, error) {
	r.writer.Reset()
	return Complete(ctx, r.writer, r.text.Tokenizer, r.sample(prompt, tokens), out)
}
