package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// complete lets a generator read the prompt and write on, at most n tokens, until
// one of the stop strings appears, which is left out. What it writes goes to out,
// if not nil, as soon as it is certain, and is returned.
func complete(g *xlstm.Generator, s *xlstm.Sampler, tok data.Tokenizer, prompt string, n int, stops []string, out io.Writer) (string, error) {
	ids := tok.Encode(prompt)
	s.Observe(ids...)
	if err := g.Read(ids...); err != nil {
		return "", err
	}
	if out == nil {
		out = io.Discard
	}
	var written []int
	var shown string
	for range n {
		t, err := g.Next(s)
		if err != nil {
			return shown, err
		}
		written = append(written, t)
		text := tok.Decode(written)
		if at := firstStop(text, stops); at >= 0 {
			_, err := io.WriteString(out, text[min(len(shown), at):at])
			return text[:at], err
		}
		// The beginning of a stop string, or of a character, may have to go.
		certain := text[:len(text)-pending(text, stops)]
		if strings.HasPrefix(certain, shown) {
			if _, err := io.WriteString(out, certain[len(shown):]); err != nil {
				return shown, err
			}
			shown = certain
		}
	}
	text := tok.Decode(written)
	_, err := io.WriteString(out, strings.TrimPrefix(text, shown))
	return text, err
}

// firstStop returns where the first stop string begins, −1 if there is none.
func firstStop(text string, stops []string) int {
	first := -1
	for _, s := range stops {
		if at := strings.Index(text, s); s != "" && at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	return first
}

// pending returns the length of the end of text that may still become part of a
// stop string, or that is the beginning of a character in bytes.
func pending(text string, stops []string) int {
	most := 0
	if strings.HasSuffix(text, "\uFFFD") {
		most = len("\uFFFD")
	}
	for _, s := range stops {
		for n := min(len(s)-1, len(text)); n > most; n-- {
			if strings.HasSuffix(text, s[:n]) {
				most = n
				break
			}
		}
	}
	return most
}

// sampleCommand lets a model write.
func sampleCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("sample", "Let a model write: the best of a run, or the model of a folder.", c,
		`sample runs/small -prompt "func main"`, "sample runs/small -n 3 -temperature 0.9 -stop \"}\\n\"", "sample runs/small -prompt - < beginning.txt")
	prompt := f.String("prompt", "\n", "what the text begins with; - reads it from standard input")
	chars := f.Int("tokens", 500, "how many tokens to write at most")
	n := f.Int("n", 1, "how many samples")
	seed := f.Uint64("seed", 1, "seed of the draws; sample k uses seed+k")
	temperature := f.Float64("temperature", 0.8, "divides the logits: below 1 is bolder, above 1 more random; 0 takes the likeliest token")
	topK := f.Int("top-k", 0, "draw from the k likeliest tokens; 0 for all")
	topP := f.Float64("top-p", 0.95, "draw from the likeliest tokens that have this probability together; 1 for all")
	penalty := f.Float64("penalty", 1, "repetition penalty; 1 for none")
	var stops []string
	f.Func("stop", "end at this text (\\n and \\t are understood); may be given more than once", func(v string) error {
		stops = append(stops, strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(v))
		return nil
	})
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	if *chars < 0 || *n < 1 {
		return errors.Errorf("-tokens is %d and -n %d; they must be at least 0 and 1", *chars, *n)
	}
	if *prompt, err = readPrompt(*prompt, c.in); err != nil {
		return err
	}
	model, tok, err := loadModel(dir)
	if err != nil {
		return err
	}
	g, err := model.NewGenerator()
	if err != nil {
		return err
	}
	defer g.Close()
	for k := range *n {
		if ctx.Err() != nil {
			return nil
		}
		sampler, err := xlstm.NewSampler(xlstm.SamplerConfig{Temperature: *temperature, TopK: *topK, TopP: *topP, RepetitionPenalty: *penalty, Seed: *seed + uint64(k)})
		if err != nil {
			return err
		}
		if *n > 1 {
			fmt.Fprintf(c.out, "--- %d\n", k+1)
		}
		fmt.Fprint(c.out, *prompt)
		g.Reset()
		if _, err := complete(g, sampler, tok, *prompt, *chars, stops, c.out); err != nil {
			return err
		}
		fmt.Fprintln(c.out)
	}
	return nil
}

func readPrompt(prompt string, in io.Reader) (string, error) {
	if prompt == "-" {
		all, err := io.ReadAll(in)
		if err != nil {
			return "", errors.Wrap(err, "reading the prompt from standard input")
		}
		prompt = string(all)
	}
	if prompt == "" {
		return "", errors.New("the prompt is empty; give at least one character with -prompt")
	}
	return prompt, nil
}
