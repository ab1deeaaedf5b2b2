package main

import (
	"fmt"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// display shows a run in the terminal. It is the run's listener.
type display struct {
	c     console
	watch *watcher // nil before the first step
}

// Notice prints a sentence beside the output.
func (d *display) Notice(sentence string) { fmt.Fprintln(d.c.err, sentence) }

// Begin begins the table of steps.
func (d *display) Begin(steps, after int) { d.watch = newWatcher(d.c.out, steps, after) }

// Step shows the record of a step.
func (d *display) Step(r run.Record) { d.watch.step(r) }

// Evaluation shows the record of a step with a held-out loss.
func (d *display) Evaluation(r run.Record, best bool) { d.watch.eval(r, best) }

// end ends the table.
func (d *display) end() {
	if d.watch != nil {
		d.watch.done()
	}
}
