// Command train trains a character-level xLSTM language model and lets it write.
//
// Without arguments it reads the Go standard library's own source, which every
// machine with Go has, and takes a few minutes:
//
//	go run ./train
//
// Other texts, files, folders or globs, are given with -data:
//
//	go run ./train -data shakespeare.txt -steps 2000
//
// It prints what is in force, a bigram model's loss to compare with, the losses
// as they fall, and at the end the loss on the whole held-out part and a sample.
// An interrupt ends training after the step at hand; the rest is done all the
// same. The same seed gives the same run, to the bit.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/pkg/errors"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

// run is the program: it reads the arguments, trains, evaluates and samples.
func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	text, err := loadText(ctx, s)
	if err != nil {
		return err
	}
	cfg, err := s.model(text.tokenizer.Size())
	if err != nil {
		return err
	}
	t, err := newTrainer(s, cfg, text)
	if err != nil {
		return err
	}
	defer t.close()
	if err := t.announce(out); err != nil {
		return err
	}
	if err := t.train(ctx, out); err != nil {
		return err
	}
	if err := t.judge(out); err != nil {
		return err
	}
	return t.write(out)
}
