// Command train trains xLSTM language models, goes on with runs that were
// stopped, and lets models write.
//
// Without arguments it trains a character model on the Go standard library's own
// source, which every machine with Go has, and takes about a minute:
//
//	go run ./train
//
// The commands, each with -h for its settings:
//
//	train      train a model (the default)
//	resume     go on with a run that was stopped
//	sample     let a model write
//	evaluate   measure a model on a text
//	score      print the probability of every token of a text
//	memory     show what a model's memory does with a text
//	report     write a run as one HTML file
//	inspect    show a model's size, memory and cost
//	graph      draw a model's graph
//	bench      measure training, generation and their parts on this machine
//
// A run lives in a folder: its settings, a log of every step, the loss curve,
// samples, a report, the last checkpoints and the best model. An interrupt (Ctrl-C) ends a
// run after the step at hand and writes a checkpoint; a run that is resumed goes
// on as if it had never stopped. The same seed gives the same run, to the bit.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/pkg/errors"
)

func main() {
	setGarbage()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks the program to finish, a second one ends it.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], console{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

// setGarbage lets the collector run when garbage has grown to a fifth of what
// lives, unless GOGC says otherwise. Nearly all that lives is a model's buffers,
// which cost nothing to look through; by Go's default they would be doubled.
func setGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(20)
	}
}

// console is where a command reads and prints.
type console struct {
	in       io.Reader
	out, err io.Writer
}

// command is one of the program's commands.
type command struct {
	name, about string
	run         func(ctx context.Context, args []string, c console) error
}

func commands() []command {
	return []command{
		{"train", "train a model (the default)", trainCommand},
		{"resume", "go on with a run that was stopped", resumeCommand},
		{"sample", "let a model write", sampleCommand},
		{"evaluate", "measure a model on a text", evaluateCommand},
		{"score", "print the probability of every token of a text", scoreCommand},
		{"memory", "show what a model's memory does with a text", memoryCommand},
		{"report", "write a run as one HTML file", reportCommand},
		{"inspect", "show a model's size, memory and cost", inspectCommand},
		{"graph", "draw a model's graph", graphCommand},
		{"bench", "measure training, generation and their parts on this machine", benchCommand},
	}
}

// run is the program.
func run(ctx context.Context, args []string, c console) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return trainCommand(ctx, args, c)
	}
	if args[0] == "help" {
		usage(c.out)
		return nil
	}
	for _, cmd := range commands() {
		if cmd.name == args[0] {
			return cmd.run(ctx, args[1:], c)
		}
	}
	usage(c.err)
	return errors.Errorf("there is no command %q", args[0])
}

func usage(out io.Writer) {
	fmt.Fprint(out, "Train xLSTM language models, and let them write.\n\nCommands, each with -h for its settings:\n\n")
	for _, cmd := range commands() {
		fmt.Fprintf(out, "  %-10s %s\n", cmd.name, cmd.about)
	}
	fmt.Fprint(out, `
Examples:

  go run ./train                                  the default: Go's own source, about a minute
  go run ./train -preset bpe                      the same text in subwords
  go run ./train -data shakespeare.txt -preset base
  go run ./train resume runs/small
  go run ./train sample runs/small -prompt "func main"
`)
}

// flags is a flag set that prints its help, with examples, when it is asked for,
// and not with every mistake.
type flags struct {
	*flag.FlagSet
	about    string
	examples []string
	out      io.Writer
}

func newFlags(name, about string, c console, examples ...string) *flags {
	f := &flags{flag.NewFlagSet(name, flag.ContinueOnError), about, examples, c.err}
	f.SetOutput(io.Discard)
	return f
}

// Parse reads arguments. For -h it prints the help and returns flag.ErrHelp.
func (f *flags) Parse(args []string) error {
	err := f.FlagSet.Parse(args)
	if !errors.Is(err, flag.ErrHelp) {
		return err
	}
	fmt.Fprintf(f.out, "%s\n\nExamples:\n\n", f.about)
	for _, e := range f.examples {
		fmt.Fprintf(f.out, "  go run ./train %s\n", e)
	}
	count := 0
	f.VisitAll(func(*flag.Flag) { count++ })
	if count > 0 {
		fmt.Fprint(f.out, "\nSettings:\n\n")
		f.SetOutput(f.out)
		f.PrintDefaults()
	}
	return err
}

// parseWords parses flags that may stand before, between and after words.
func parseWords(f *flags, args []string) (words []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, f.Arg(0)), f.Args()[1:]
	}
}

// parseFolder is parseWords for one folder, which may be missing.
func parseFolder(f *flags, args []string) (folder string, err error) {
	words, err := parseWords(f, args)
	switch {
	case err != nil || len(words) == 0:
		return "", err
	case len(words) > 1:
		return "", errors.Errorf("%s takes one folder, got %q and %q", f.Name(), words[0], words[1])
	}
	return words[0], nil
}

// parseWithFolder is parseFolder for a command that needs one.
func parseWithFolder(f *flags, args []string) (folder string, err error) {
	if folder, err = parseFolder(f, args); err == nil && folder == "" {
		err = errors.Errorf("%s needs a folder: go run ./train %s FOLDER", f.Name(), f.Name())
	}
	return folder, err
}
