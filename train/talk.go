package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/chat"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// talk is a conversation at the terminal: with a chat template between a user
// and the model, without one a text that both continue in turn.
type talk struct {
	lm      *xlstm.LM
	g       *xlstm.Generator
	format  chat.Format
	request xlstm.Request // what all answers have in common
	c       console
	out     io.Writer // for what the model writes
	said    conversation
}

// conversation is what a chat has come to. It is saved beside a state.
type conversation struct {
	Messages []chat.Message `json:"messages"`
	Read     string         `json:"read"` // the text that the generator has read
}

// lineSource is where the user's lines come from; io.EOF ends them, and so does
// the context.
type lineSource interface {
	next(ctx context.Context, prompt string) (string, error)
}

const talkHelp = `A line is what the model continues; \n and \t are understood.
/reset      forget what was said
/save FILE  write the state to a file
/load FILE  continue from a state that /save or -save-state wrote
/help       show this
/quit       end, as Ctrl-D does
Ctrl-C stops the answer.
`

// commandWord is the first word of a command. A line that begins with // or with
// a path is text.
var commandWord = regexp.MustCompile("^/[a-z]+$")

// converse answers lines until there are no more.
func (t *talk) converse(ctx context.Context, lines lineSource) error {
	for ctx.Err() == nil {
		line, err := lines.next(ctx, "> ")
		if err == io.EOF || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return errors.Wrap(err, "reading what was typed")
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !commandWord.MatchString(word) {
			if err := t.answer(ctx, escapes.Replace(line)); err != nil {
				return err
			}
			continue
		}
		if word == "/quit" {
			return nil
		}
		if err := t.command(word, strings.TrimSpace(rest)); err != nil {
			fmt.Fprintln(t.c.err, complaint(err))
		}
	}
	return nil
}

// command does what a line that begins with a slash says.
func (t *talk) command(word, file string) error {
	switch {
	case word == "/help":
		fmt.Fprint(t.c.err, talkHelp)
		return nil
	case word == "/reset":
		t.g.Reset()
		t.said = conversation{}
		return nil
	case word != "/save" && word != "/load":
		return errors.Errorf("there is no command %s; /help lists them", word)
	case file == "":
		return errors.Errorf("%s needs the name of a file", word)
	case word == "/load":
		return t.load(file)
	}
	return t.save(file)
}

// talkFile is the file beside a state with the conversation.
func talkFile(state string) string { return state + ".talk.json" }

func (t *talk) save(file string) error {
	if t.g.Tokens() == 0 {
		return errors.New("nothing was said yet that could be saved")
	}
	if err := t.g.SaveState(file); err != nil {
		return err
	}
	if t.format.HasTemplate() {
		return files.WriteFile(talkFile(file), func(w io.Writer) error { return json.NewEncoder(w).Encode(t.said) })
	}
	return nil
}

func (t *talk) load(file string) error {
	var said conversation
	if t.format.HasTemplate() {
		raw, err := files.Read(talkFile(file), files.MaxList)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return errors.Errorf("%s is missing: a chat can only continue from what /save wrote", talkFile(file))
		case err != nil:
			return errors.Wrap(err, "reading the conversation")
		}
		if err := json.Unmarshal(raw, &said); err != nil {
			return errors.Wrapf(err, "reading the conversation in %s", talkFile(file))
		}
	}
	if err := t.g.LoadState(file); err != nil {
		return err
	}
	t.said = said
	fmt.Fprintf(t.c.err, "%s read before\n", numbers.Count(t.g.Tokens(), "token"))
	return nil
}

// answer lets the model continue after a line, until Ctrl-C at the latest, and
// says how fast it was.
func (t *talk) answer(ctx context.Context, line string) error {
	r, err := t.next(line)
	if err != nil {
		fmt.Fprintln(t.c.err, complaint(err)) // of a template, which another line may suit
		return nil
	}
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	before, began := t.g.Tokens(), time.Now()
	var first time.Time
	done, err := t.g.Complete(ctx, t.lm.Tokenizer(), r, func(text string) error {
		if first.IsZero() {
			first = time.Now()
		}
		_, err := io.WriteString(t.out, text)
		return err
	})
	fmt.Fprintln(t.out)
	if err != nil {
		return err
	}
	if t.format.HasTemplate() {
		t.said.Messages = append(t.said.Messages, chat.Message{Role: "assistant", Content: done.Text})
		t.said.Read += r.Prompt + t.lm.Tokenizer().Decode(done.Tokens)
	}
	t.request.Sampler.Seed++
	note := ""
	if done.End == xlstm.EndEarly {
		note = ", stopped"
	}
	read := t.g.Tokens() - before - len(done.Tokens)
	fmt.Fprintf(t.c.err, "[%s read, %s at %.0f a second%s]\n", numbers.Commas(read), numbers.Count(len(done.Tokens), "token"), speed(len(done.Tokens), began, first), note)
	return nil
}

// speed returns the tokens a second from the first text on, or from the start if
// there is none.
func speed(tokens int, began, first time.Time) float64 {
	if tokens > 1 && !first.IsZero() {
		tokens, began = tokens-1, first
	}
	return float64(tokens) / max(time.Since(began).Seconds(), 1e-9)
}

// next returns the request for the answer to a line. What a template makes of the
// conversation is read from where it differs from what was read before.
func (t *talk) next(line string) (xlstm.Request, error) {
	r := t.request
	if !t.format.HasTemplate() {
		r.Prompt = line
		if line == "" && t.g.Tokens() == 0 {
			r.Prompt = "\n"
		}
		return r, nil
	}
	messages := append(t.said.Messages[:len(t.said.Messages):len(t.said.Messages)], chat.Message{Role: "user", Content: line})
	prompt, err := t.format.Prompt(messages)
	if err != nil {
		return r, err
	}
	t.said.Messages = messages
	rest, continues := strings.CutPrefix(prompt, t.said.Read)
	if !continues || t.g.Tokens() == 0 {
		t.g.Reset()
		t.said.Read, rest = "", prompt
	}
	r.Prompt, r.WholePrompt = rest, true
	return r, nil
}

// startTalk converses with the model that g generates with.
func startTalk(ctx context.Context, lm *xlstm.LM, g *xlstm.Generator, request xlstm.Request, c console) error {
	format, err := chat.Open(lm.Dir())
	if err != nil {
		return err
	}
	t := &talk{lm: lm, g: g, format: format, request: request, c: c, out: c.out}
	if _, terminal := columns(c.out); terminal {
		t.out = visible{c.out}
	}
	in, ok := c.in.(*os.File)
	if !ok || !isTerminal(in) || t.out == c.out {
		return t.converse(ctx, pipedLines(c.in))
	}
	fmt.Fprintln(c.err, "/help lists the commands; Ctrl-D ends.")
	return t.converse(ctx, newTypedLines(in, c.out))
}
