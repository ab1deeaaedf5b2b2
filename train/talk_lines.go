package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/pkg/errors"
	"golang.org/x/term"
)

// isTerminal reports whether a file is a terminal.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// piped are lines of a file or a pipe.
type piped struct{ lines *bufio.Scanner }

func pipedLines(in io.Reader) piped {
	s := bufio.NewScanner(in)
	s.Buffer(nil, data.DefaultMaxBytes)
	return piped{s}
}

func (p piped) next(ctx context.Context, _ string) (string, error) {
	return await(ctx, func() (string, error) {
		if p.lines.Scan() {
			return strings.TrimSuffix(p.lines.Text(), "\r"), nil
		}
		if err := p.lines.Err(); err != nil {
			return "", err
		}
		return "", io.EOF
	})
}

// await returns what read returns, or the error of the context if that ends
// first. The program then ends, too, and with it what still reads.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		line string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		line, err := read()
		done <- result{line, err}
	}()
	select {
	case r := <-done:
		return r.line, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// typed are lines of a terminal, which can be edited, with those before at hand.
type typed struct {
	in   *os.File
	out  io.Writer
	line *term.Terminal
}

func newTypedLines(in *os.File, out io.Writer) *typed {
	t := &typed{in: in, out: out}
	t.line = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{keys{in}, out}, "")
	return t
}

// next takes the terminal for as long as a line is typed, so that Ctrl-C is a
// signal while the model answers.
func (t *typed) next(ctx context.Context, prompt string) (line string, err error) {
	before, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return "", errors.Wrap(err, "preparing the terminal")
	}
	defer func() {
		if failed := term.Restore(int(t.in.Fd()), before); err == nil {
			err = errors.Wrap(failed, "restoring the terminal")
		}
	}()
	if width, height, err := term.GetSize(int(t.in.Fd())); err == nil && width > 0 {
		if err := t.line.SetSize(width, height); err != nil {
			return "", err
		}
	}
	t.line.SetPrompt(prompt)
	if line, err = await(ctx, t.line.ReadLine); err != nil {
		_, _ = io.WriteString(t.out, "\r\n") // the prompt stays behind
	}
	return line, err
}

// keys are those of a terminal, of which Ctrl-C clears the line, as Ctrl-U does,
// where it would end the conversation, and a line feed ends it: what was typed
// during an answer has that in the place of the carriage return.
type keys struct{ in io.Reader }

func (k keys) Read(p []byte) (int, error) {
	const ctrlC, ctrlU = 3, 21
	n, err := k.in.Read(p)
	for i := range p[:n] {
		switch p[i] {
		case ctrlC:
			p[i] = ctrlU
		case '\n':
			p[i] = '\r'
		}
	}
	return n, err
}
