package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/pkg/errors"
)

// sampling are the settings of the sample command.
type sampling struct {
	request    xlstm.Request // what all texts have in common
	prompts    []string
	promptFile string
	stopTokens []string
	n, batch   int
	begin      beginning
	asJSON     bool
	talk       bool
}

// escapes are what command lines and lines of a file cannot hold as they are.
var escapes = strings.NewReplacer(`\n`, "\n", `\t`, "\t")

// register makes the command's flags.
func (s *sampling) register(f *flags, in io.Reader) {
	f.Func("prompt", "the beginning of a text; - reads it from standard input; may be given more than once (default a line's end)", func(v string) error {
		v, err := givenText("prompt", v, in)
		s.prompts = append(s.prompts, v)
		return err
	})
	f.StringVar(&s.promptFile, "prompts", "", "a file of prompts, one a line (\\n and \\t are understood)")
	f.IntVar(&s.request.MaxTokens, "max-tokens", 500, "maximum number of tokens to generate")
	f.renamed("tokens", "max-tokens")
	f.IntVar(&s.n, "n", 1, "number of samples for each prompt")
	f.IntVar(&s.batch, "batch", 8, "maximum number of texts to generate at once")
	c := &s.request.Sampler
	f.Uint64Var(&c.Seed, "seed", 1, "seed of the draws; each further sample of a prompt uses the next")
	f.Float64Var(&c.Temperature, "temperature", 0.8, "divides the logits: below 1 is bolder, above 1 more random; 0 takes the likeliest token")
	f.IntVar(&c.TopK, "top-k", 0, "draw from the k likeliest tokens; 0 for all")
	f.Float64Var(&c.TopP, "top-p", 0.95, "draw from the likeliest tokens that have this probability together; 1 for all")
	f.Float64Var(&c.RepetitionPenalty, "penalty", 1, "repetition penalty; 1 for none")
	f.Func("stop", "end at this text (\\n and \\t are understood); may be given more than once", func(v string) error {
		s.request.Stop = append(s.request.Stop, escapes.Replace(v))
		return nil
	})
	f.Func("stop-token", "end at this token, a text or a number; may be given more than once (default: what ends a text by the vocabulary and the model's configuration)", func(v string) error {
		s.stopTokens = append(s.stopTokens, v)
		return nil
	})
	f.BoolVar(&s.talk, "i", false, "converse: every line of standard input is continued, with what came before in memory; /help there")
	f.BoolVar(&s.asJSON, "json", false, "print a line of JSON for every text")
	s.begin.register(f)
}

// sampleCommand lets a model write.
func sampleCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("sample", "Generate text with the best model of a run, or with the model of a folder or of a file of weights.", c,
		`sample runs/small -prompt "func main"`, "sample runs/small -n 3 -temperature 0.9 -stop \"}\\n\"", "sample runs/small -prompt - < beginning.txt",
		"sample runs/small -prompts questions.txt -json", "sample runs/small -i", "sample runs/small -read book.txt -save-state book.state", `sample runs/small -state book.state -prompt "The end"`)
	var s sampling
	s.register(f, c.in)
	var on reading
	on.register(f)
	dir, err := parseWithFolder(f, args)
	if err != nil {
		return err
	}
	if s.talk && (len(s.prompts) > 0 || s.promptFile != "" || s.n > 1 || s.asJSON) {
		return errors.New("-i takes what it continues from standard input; leave -prompt, -prompts, -n and -json out")
	}
	if s.request.MaxTokens < 0 || s.n < 1 || s.batch < 1 {
		return errors.Errorf("-max-tokens is %d, -n %d and -batch %d; they must be at least 0, 1 and 1", s.request.MaxTokens, s.n, s.batch)
	}
	if err := run.CheckSampler(s.request.Sampler, flagOf); err != nil {
		return err
	}
	if err := s.readPrompts(); err != nil {
		return err
	}
	lm, closeDevice, err := on.load(dir, c.err)
	if err != nil {
		return err
	}
	defer closeDevice()
	model, tok := lm.Model(), lm.Tokenizer()
	if s.request.StopTokens, err = stopTokens(model, tok, s.stopTokens); err != nil {
		return err
	}
	s.request.Sampler.Exclude = lm.Request("").Sampler.Exclude
	if u := run.UnknownShare(tok, data.IDs(tok.Encode(strings.Join(s.prompts, "")))); u > 0 {
		fmt.Fprintf(c.err, "%s of the prompt's characters are unknown to the model\n", numbers.Percent(u))
	}
	g, err := model.NewGenerator()
	if err != nil {
		return err
	}
	defer g.Close()
	if err := s.begin.read(ctx, g, tok); err != nil {
		return err
	}
	if s.talk {
		keepInterrupts()
		return startTalk(ctx, lm, g, s.request, c)
	}
	if s.begin.save != "" && len(s.prompts) == 0 {
		fmt.Fprintf(c.err, "%s read; the state is in %s\n", numbers.Count(g.Tokens(), "token"), s.begin.save)
		return nil
	}
	return s.write(ctx, model, g, tok, c.out)
}

// readPrompts adds the prompts of a file.
func (s *sampling) readPrompts() error {
	if s.promptFile == "" {
		return nil
	}
	text, err := files.Read(s.promptFile, data.DefaultMaxBytes)
	if err != nil {
		return errors.Wrap(err, "reading prompts")
	}
	for line := range strings.Lines(string(files.WithoutMark(text))) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			s.prompts = append(s.prompts, escapes.Replace(line))
		}
	}
	if len(s.prompts) == 0 {
		return errors.Errorf("%s has no prompt; it takes one a line", s.promptFile)
	}
	return nil
}

// givenText returns the text that a flag gives: literally, or - for standard input.
func givenText(name, text string, in io.Reader) (string, error) {
	where := ""
	if text == "-" {
		all, err := files.ReadAll(in, data.DefaultMaxBytes)
		if err != nil {
			return "", errors.Wrapf(err, "reading the text of -%s from standard input", name)
		}
		text, where = string(files.WithoutMark(all)), " on standard input"
	}
	if text == "" {
		return "", errors.Errorf("the text of -%s is empty; give at least one character%s", name, where)
	}
	return text, nil
}

// stopTokens returns the ids of tokens that are given by text or number, and
// without any those that end a text.
func stopTokens(model *xlstm.Model, tok data.Tokenizer, given []string) (ids []int, err error) {
	if len(given) == 0 {
		return model.Marks(tok).Ends, nil
	}
	named, _ := tok.(interface{ ID(text string) (int, bool) })
	for _, text := range given {
		if id, err := strconv.Atoi(text); err == nil && id >= 0 && id < tok.Size() {
			ids = append(ids, id)
			continue
		}
		text = escapes.Replace(text)
		if named != nil {
			if id, ok := named.ID(text); ok {
				ids = append(ids, id)
				continue
			}
		}
		one := tok.Encode(text)
		if len(one) != 1 || tok.Decode(one) != text {
			return nil, errors.Errorf("%q is not a token of the vocabulary, and not a number below %d; see -stop for other texts", text, tok.Size())
		}
		ids = append(ids, one[0])
	}
	return ids, nil
}
