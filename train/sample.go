package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
)

// complete lets a generator read the prompt and write on, at most n tokens, until
// one of the stop strings appears, which is left out. What it writes goes to out,
// if not nil, as soon as it is certain, and is returned.
func complete(ctx context.Context, g *xlstm.Generator, s *xlstm.Sampler, tok data.Tokenizer, prompt string, n int, stops []string, out io.Writer) (string, error) {
	ids := tok.Encode(prompt)
	s.Observe(ids...)
	if err := g.Read(ids...); err != nil {
		return "", err
	}
	var written strings.Builder
	tell := func(text string) error {
		written.WriteString(text)
		if out == nil {
			return nil
		}
		_, err := io.WriteString(out, text)
		return err
	}
	var rest string // written, but perhaps the beginning of a stop string
	for range n {
		if ctx.Err() != nil {
			break
		}
		t, err := g.Next(s)
		if err != nil {
			return written.String(), err
		}
		rest += tok.Decode([]int{t})
		if at := firstStop(rest, stops); at >= 0 {
			err := tell(rest[:at])
			return written.String(), err
		}
		certain := len(rest) - pending(rest, stops)
		if err := tell(rest[:certain]); err != nil {
			return written.String(), err
		}
		rest = rest[certain:]
	}
	err := tell(rest)
	return written.String(), err
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
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if end := text[len(text)-n:]; utf8.RuneStart(end[0]) {
			if !utf8.FullRuneInString(end) {
				most = n
			}
			break
		}
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
	seed := f.Uint64("seed", 1, "seed of the draws; each further sample uses the next")
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
	if u := unknown(tok, data.IDs(tok.Encode(*prompt))); u > 0 {
		fmt.Fprintf(c.err, "%.0f %% of the prompt's characters are unknown to the model\n", 100*u)
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
		sampler, err := xlstm.NewSampler(xlstm.SamplerConfig{Temperature: *temperature, TopK: *topK, TopP: *topP, RepetitionPenalty: *penalty, Exclude: excluded(tok, model), Seed: *seed + uint64(k)})
		if err != nil {
			return err
		}
		if *n > 1 {
			fmt.Fprintf(c.out, "--- %d\n", k+1)
		}
		fmt.Fprint(c.out, *prompt)
		g.Reset()
		if _, err := complete(ctx, g, sampler, tok, *prompt, *chars, stops, c.out); err != nil {
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
