package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/experiment"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// experimentFlags are those of the experiment command.
type experimentFlags struct {
	name    string
	cells   string
	seeds   int
	full    bool
	out     string
	workers int
	child   string
	data    []string
	on      onDevice
}

// experimentCommand runs an experiment, and continues one that was interrupted.
func experimentCommand(ctx context.Context, args []string, c console) error {
	x, err := parseExperiment(args, c)
	if err != nil {
		return err
	}
	if x.name == claimsWord {
		return publishClaims(x.out, c)
	}
	g, err := x.grid(ctx)
	if err != nil {
		return err
	}
	f := experiment.Folder{Dir: x.out, Workers: x.workers, Done: func(r experiment.Result, done, of int) {
		fmt.Fprintf(c.out, "%d of %d: %s%s\n", done, of, r.Name, r.Summary())
	}}
	switch {
	case x.on.name != "cpu" || x.on.precision != "":
		f.Open = x.on.open
	case f.Workers > 1 && x.child == "":
		f.Child = x.start
	}
	if x.child != "" {
		return doAsChild(ctx, f, g, x.child, c)
	}
	fmt.Fprintf(c.out, "%s\n%s in %s, %d at a time\n", g.Experiment.About, numbers.Count(len(g.Names()), "run"), x.out, f.Workers)
	results, err := f.Run(ctx, g)
	if ctx.Err() != nil {
		fmt.Fprintf(c.out, "Stopped. To continue: %s\n", c.hint(append([]string{"experiment"}, args...)...))
		return nil
	}
	if err != nil {
		return err
	}
	page := filepath.Join(x.out, experiment.PageFile)
	if err := g.Experiment.WritePage(page, g.Setting, results); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Results: %s\nPage: %s\n", filepath.Join(x.out, experiment.ResultsFile), page)
	return nil
}

// grid returns the runs that are asked for.
func (x experimentFlags) grid(ctx context.Context) (g experiment.Grid, err error) {
	e, err := experiment.Named(x.name)
	if err != nil {
		return g, err
	}
	var text *experiment.Corpus
	if e.OnText {
		if text, err = experiment.LoadCorpus(ctx, x.data...); err != nil {
			return g, err
		}
	}
	return e.Grid(x.setting(), x.cellNames(), x.seeds, text)
}

// doAsChild does one run, until it is done or the program's input ends: the
// process that began this one closes it, or ended.
func doAsChild(ctx context.Context, f experiment.Folder, g experiment.Grid, run string, c console) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		io.Copy(io.Discard, c.in)
		cancel()
	}()
	_, err := f.Do(ctx, g, run)
	return err
}

// claimsWord is what stands in place of an experiment's name to judge the claims.
const claimsWord = "claims"

// publishClaims judges the claims by the results in a folder.
func publishClaims(dir string, c console) error {
	p, err := experiment.Publish(dir)
	if err != nil {
		return err
	}
	if err := p.Write(dir); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Claims: %s.md\n", dir)
	return nil
}

func parseExperiment(args []string, c console) (experimentFlags, error) {
	var about strings.Builder
	about.WriteString("Check a claim of the papers: a grid of runs over cells and seeds, whose results are files, and a page.\nAn interrupted experiment continues when it is started again.\n")
	for _, e := range experiment.All() {
		fmt.Fprintf(&about, "\n  %s\n%s\n", e.Name, e.About)
	}
	about.WriteString("\n  claims\nJudge the claims by docs/claims/NAME.json, copies of the results of experiments, and write docs/claims.md.\n")
	f := newFlags("experiment", strings.TrimSuffix(about.String(), "\n"), c, "experiment parity", "experiment parity -cells slstm,mlstm -seeds 3", "experiment claims")
	var x experimentFlags
	f.StringVar(&x.cells, "cells", "", "the cells to compare, of "+strings.Join(experiment.CellNames(), ", ")+" (default: the experiment's)")
	f.IntVar(&x.seeds, "seeds", 3, "seeds of every run, from 1 on")
	f.BoolVar(&x.full, "full", false, "the papers' numbers, which takes hours, instead of minutes")
	f.StringVar(&x.out, "out", "", "the folder (default: experiments/ and the experiment's name)")
	f.IntVar(&x.workers, "workers", 0, "runs at a time, each on a core of its own, or side by side on a GPU (default: the number of cores; 1 on a GPU)")
	f.StringVar(&x.child, "run", "", "do one run alone, in this process, until its input ends")
	x.on.register(f)
	f.Func("data", dataUsage+" (default: the Go standard library's source)", func(v string) error {
		x.data = append(x.data, v)
		return nil
	})
	words, err := parseWords(f, args)
	switch {
	case err != nil:
		return x, err
	case len(words) != 1:
		return x, errors.Errorf("experiment needs the name of one experiment; %s lists them", c.hint("experiment", "-h"))
	case x.workers < 0:
		return x, errors.Errorf("-workers is %d; it must be at least 1, or 0 for one on each core", x.workers)
	}
	x.name = words[0]
	switch {
	case x.out != "":
	case x.name == claimsWord:
		x.out = filepath.Join("docs", "claims")
	default:
		x.out = filepath.Join("experiments", x.name)
		if x.full {
			x.out += "-full"
		}
	}
	switch {
	case x.workers > 0:
	case x.on.name != "cpu": // which all runs would share
		x.workers = 1
	default:
		x.workers = runtime.GOMAXPROCS(0)
	}
	return x, nil
}

func (x experimentFlags) setting() experiment.Setting {
	if x.full {
		return experiment.Full
	}
	return experiment.Minutes
}

func (x experimentFlags) cellNames() []string {
	if x.cells == "" {
		return nil
	}
	return strings.Split(x.cells, ",")
}

// start returns what does a run of the experiment in a process of its own, on
// one core. Closing its input asks it to write a checkpoint and end.
func (x experimentFlags) start(ctx context.Context, run string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, errors.Wrap(err, "finding this program")
	}
	args := []string{"experiment", "-out", x.out, "-cells", x.cells, "-seeds", strconv.Itoa(x.seeds), "-full=" + strconv.FormatBool(x.full), "-run", run, x.name}
	for _, path := range x.data {
		args = append(args, "-data", path)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, errors.Wrap(err, "starting a run")
	}
	cmd.Cancel, cmd.WaitDelay = input.Close, time.Minute
	return cmd, nil
}
