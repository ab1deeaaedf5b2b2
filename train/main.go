// Command train trains xLSTM language models, resumes stopped runs, and
// generates text.
//
// Without arguments it trains a character model on the source of the Go
// standard library, which every Go installation includes. This takes about a
// minute:
//
//	go run ./train
//
// The commands, each with -h for its flags:
//
//	train      train a model (the default)
//	resume     continue a run that was stopped
//	merge      write a model with its adapters merged into the weights
//	sample     generate text with a model
//	serve      answer requests over HTTP
//	evaluate   measure a model on a text
//	score      print the probability of every token of a text
//	memory     show a model's memory while it reads a text
//	quantize   write a model with weights of two bytes, one, or half
//	report     write a run as one HTML file
//	inspect    show a model's size, memory and cost
//	graph      draw a model's graph
//	experiment check a claim of the papers
//	bench      measure training, generation and their parts on this machine
//	version    print the versions of the program and of Go, and the processor's kernels
//
// A run is stored in a folder: its settings, a log of every step, the loss
// curve, samples, a report, the last checkpoints and the best model. An
// interrupt (Ctrl-C) ends a run after the current step and writes a checkpoint;
// a resumed run is the same as one that never stopped. The same seed gives the
// same run, to the bit.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/pkg/errors"
)

func main() {
	setGarbage()
	ctx := untilSignalled()
	ended, lost := make(chan error, 1), make(chan error, 1)
	c := console{in: os.Stdin, out: os.Stdout, err: os.Stderr, name: programName(), lost: func(err error) { lost <- err }}
	go func() { ended <- dispatch(ctx, os.Args[1:], c) }()
	err := commandsEnd(ended, lost)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, complaint(err))
	}
	os.Exit(exitCode(ctx, err))
}

// patience is how long a rank may go on that has lost another one.
const patience = 2 * time.Second

// commandsEnd returns the error of a command, or that another rank is lost: then the
// command may wait for its GPU, which waits for the other rank's, without end. What
// it was writing is not missed, because checkpoints are renamed when they are whole.
func commandsEnd(ended, lost <-chan error) error {
	select {
	case err := <-ended:
		return err
	case loss := <-lost:
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			return loss
		}
	}
}

// exitCode returns what the program's result is for the shell: 0, 1 for an error,
// or that of the signal which asked it to finish.
func exitCode(ctx context.Context, err error) int {
	var by interruption
	switch {
	case errors.As(context.Cause(ctx), &by):
		return by.exitCode()
	case err != nil && !errors.Is(err, flag.ErrHelp):
		return 1
	}
	return 0
}

// setGarbage lets the collector run when garbage has grown to a fifth of what
// lives, unless GOGC says otherwise. Nearly all that lives is a model's buffers,
// which cost nothing to look through; by Go's default they would be doubled.
func setGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(20)
	}
}

// command is one of the program's commands.
type command struct {
	name, about string
	run         func(ctx context.Context, args []string, c console) error
}

func commands() []command {
	return []command{
		{"train", "train a model (the default)", trainCommand},
		{"resume", "continue a run that was stopped", resumeCommand},
		{"merge", "write a model with its adapters merged into the weights", mergeCommand},
		{"sample", "generate text with a model", sampleCommand},
		{"serve", "answer requests over HTTP in OpenAI's protocol", serveCommand},
		{"evaluate", "measure a model on a text", evaluateCommand},
		{"score", "print the probability of every token of a text", scoreCommand},
		{"memory", "show a model's memory while it reads a text", memoryCommand},
		{"quantize", "write a model with weights of two bytes, one, or half", quantizeCommand},
		{"report", "write a run as one HTML file", reportCommand},
		{"inspect", "show a model's size, memory and cost", inspectCommand},
		{"graph", "draw a model's graph", graphCommand},
		{"experiment", "check a claim of the papers", experimentCommand},
		{"bench", "measure training, generation and their parts on this machine", benchCommand},
		{"version", "print the versions of the program and of Go, and the processor's kernels", versionCommand},
	}
}

// dispatch runs the command that the arguments name.
func dispatch(ctx context.Context, args []string, c console) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") && !asksForHelp(args[0]) {
		return trainCommand(ctx, args, c)
	}
	if args[0] == "help" && len(args) > 1 {
		args = []string{args[1], "-h"}
	} else if args[0] == "help" || asksForHelp(args[0]) {
		usage(c)
		return nil
	}
	for _, cmd := range commands() {
		if cmd.name == args[0] {
			return cmd.run(ctx, args[1:], c)
		}
	}
	return unknownCommand(args[0], c)
}

func asksForHelp(arg string) bool {
	return slices.Contains([]string{"-h", "--h", "-help", "--help"}, arg)
}

// unknownCommand says what was perhaps meant by a word that is no command.
func unknownCommand(word string, c console) error {
	names := []string{"help"}
	for _, cmd := range commands() {
		names = append(names, cmd.name)
	}
	if near := nearest(word, names); near != "" {
		return errors.Errorf("there is no command %q; did you mean %s? %s lists the commands", word, near, c.hint("help"))
	}
	_, err := os.Stat(filepath.Join(word, run.SettingsFile))
	switch _, missing := os.Stat(word); {
	case err == nil:
		return errors.Errorf("%q is a run, not a command; to continue it: %s, to generate text: %s", word, c.hint("resume", word), c.hint("sample", word))
	case missing == nil || strings.ContainsAny(word, "./*?["):
		return errors.Errorf("%q is not a command; to train on a text, give it with -data: %s", word, c.hint("-data", word))
	}
	return errors.Errorf("there is no command %q; %s lists the commands", word, c.hint("help"))
}

func usage(c console) {
	fmt.Fprint(c.out, "Train xLSTM language models, and let them write.\n\nCommands, each with -h for its flags:\n\n")
	for _, cmd := range commands() {
		fmt.Fprintf(c.out, "  %-10s %s\n", cmd.name, cmd.about)
	}
	fmt.Fprint(c.out, "\nExamples:\n\n")
	for _, e := range []string{
		"                              # the default: Go's own source, about a minute",
		"-preset bpe                   # the same text in subwords",
		"-data shakespeare.txt -preset base",
		"resume runs/small",
		"sample runs/small -prompt \"func main\"",
	} {
		fmt.Fprintf(c.out, "  %s %s\n", c.name, e)
	}
}
