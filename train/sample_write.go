package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/pkg/errors"
)

// beginning is what is read before all prompts.
type beginning struct {
	state, save string
	texts       []string
}

func (b *beginning) register(f *flags) {
	f.StringVar(&b.state, "state", "", "continue from this state, which -save-state wrote")
	f.Func("read", "a text to read before the prompts: `FILE`, folder or glob; may be given more than once", func(v string) error {
		b.texts = append(b.texts, v)
		return nil
	})
	f.StringVar(&b.save, "save-state", "", "write the state before the prompts to this file; without a prompt, nothing else")
}

// read lets a generator read what comes before the prompts, and keeps the state
// if that is asked for.
func (b *beginning) read(ctx context.Context, g *xlstm.Generator, tok data.Tokenizer) error {
	if b.state != "" {
		if err := g.LoadState(b.state); err != nil {
			return err
		}
	}
	if len(b.texts) > 0 {
		docs, err := data.Load(data.DefaultMaxBytes, b.texts...)
		if err != nil {
			return err
		}
		ids, _, err := data.EncodeFurther(ctx, tok, docs.Pieces(tok))
		if err != nil {
			return err
		}
		if g.Tokens() == 0 {
			ids = data.Begin(data.Beginning(tok), ids)
		}
		if err := g.Read(ids...); err != nil {
			return err
		}
	}
	if b.save == "" {
		return nil
	}
	if g.Tokens() == 0 {
		return errors.New("there is no state to save: say with -read what to read")
	}
	return g.SaveState(b.save)
}

// requests asks for n samples of every prompt, after what g has read. Without a
// prompt a text begins as the vocabulary has it, or with a line's end.
func (s *sampling) requests(g *xlstm.Generator, tok data.Tokenizer) (all []xlstm.Request) {
	prompts := s.prompts
	if len(prompts) == 0 {
		prompts = []string{"\n"}
		if g.Tokens() > 0 || len(data.Beginning(tok)) > 0 {
			prompts[0] = ""
		}
	}
	for _, p := range prompts {
		for k := range s.n {
			r := s.request
			r.Prompt, r.Sampler.Seed = p, r.Sampler.Seed+uint64(k)
			if g.Tokens() > 0 {
				r.After = g
			}
			all = append(all, r)
		}
	}
	return all
}

// write writes all texts, in the order of the prompts. A single one is shown as it
// is written.
func (s *sampling) write(ctx context.Context, model *xlstm.Model, g *xlstm.Generator, tok data.Tokenizer, out io.Writer) error {
	requests := s.requests(g, tok)
	if _, terminal := columns(out); terminal {
		out = visible{out}
	}
	if len(requests) == 1 && !s.asJSON {
		r := requests[0]
		r.After = nil // g itself continues
		fmt.Fprint(out, r.Prompt)
		_, err := run.Complete(ctx, g, tok, r, out)
		fmt.Fprintln(out)
		return err
	}
	b, err := model.NewBatchGenerator(min(s.batch, len(requests)))
	if err != nil {
		return err
	}
	defer b.Close()
	ended := make(map[int]xlstm.Completion)
	next := 0
	_, err = b.Complete(ctx, tok, requests, func(i int, c xlstm.Completion) error {
		for ended[i] = c; ; next++ {
			c, ok := ended[next]
			if !ok {
				return nil
			}
			delete(ended, next)
			if err := s.show(out, next, requests[next], c); err != nil {
				return err
			}
		}
	})
	return err
}

// written is a text as a line of JSON.
type written struct {
	Prompt string    `json:"prompt"`
	Text   string    `json:"text"`
	Tokens int       `json:"tokens"`
	End    xlstm.End `json:"end"`
	Seed   uint64    `json:"seed"`
}

// show prints text i.
func (s *sampling) show(out io.Writer, i int, r xlstm.Request, c xlstm.Completion) error {
	if s.asJSON {
		return printJSON(out, written{r.Prompt, c.Text, len(c.Tokens), c.End, r.Sampler.Seed})
	}
	_, err := fmt.Fprintf(out, "--- %d\n%s%s\n", i+1, r.Prompt, c.Text)
	return err
}

// printJSON prints a line.
func printJSON(out io.Writer, v any) error {
	var line strings.Builder
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(out, run.EscapeControls(line.String()))
	return err
}

// visible is a terminal that is shown texts from elsewhere. Each write is of whole
// characters.
type visible struct{ out io.Writer }

func (v visible) Write(text []byte) (int, error) {
	if _, err := io.WriteString(v.out, run.Visible(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
