package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// watcher shows the progress of a run: a table with a line for every evaluation
// and every first of a row of skipped steps, and below it, on a terminal, a
// progress bar. Where there is no terminal to draw on, the table has lines for
// steps in between as well, one every few seconds.
type watcher struct {
	out          io.Writer
	total, start int              // the last step of the run, and the step after which it continues
	now          func() time.Time // time.Now, or a test's clock
	began        time.Time

	header string     // of the table, as it was last printed
	last   run.Record // of the latest step
	told   int        // the step of the table's latest line
	shown  time.Time  // when that line was printed, or the bar was last drawn

	width func() int // of the terminal, in columns; nil without one
}

// newWatcher returns a watcher for a run of total steps that continues after
// step start, 0 if it begins.
func newWatcher(out io.Writer, total, start int) *watcher {
	w := &watcher{out: out, total: total, start: start, now: time.Now, began: time.Now(), told: start}
	if _, terminal := columns(out); terminal {
		w.width = func() int { width, _ := columns(out); return width }
	}
	return w
}

// step shows the record of a step. It is to be called for every step, and eval
// after it if the record has a held-out loss.
func (w *watcher) step(r run.Record) {
	newlySkipped := r.Skipped != "" && w.last.Skipped == ""
	w.last = r
	waited := w.now().Sub(w.shown)
	switch {
	case r.Val != nil: // eval shows it
	case newlySkipped || w.width == nil && waited >= 5*time.Second:
		w.tell(r, "")
	case w.width != nil && (waited >= 100*time.Millisecond || r.Step == w.total):
		w.draw()
	}
}

// eval shows the record of a step after which the held-out loss was measured;
// best is whether it is the lowest so far.
func (w *watcher) eval(r run.Record, best bool) {
	w.last = r
	remark := ""
	if best {
		remark = "best"
	}
	w.tell(r, remark)
}

// done ends the table with the last step's line, or the bar with its last state.
func (w *watcher) done() {
	switch {
	case w.width != nil && w.last.Step > 0:
		w.draw()
		fmt.Fprintln(w.out)
	case w.last.Step > w.told:
		w.tell(w.last, "")
	}
	w.width = nil // what is printed from now on has no bar below it
}

// tell prints a line of the table. On a terminal that is too narrow for all
// columns the least important are left out; the header comes again where their
// number changes.
func (w *watcher) tell(r run.Record, remark string) {
	if r.Skipped != "" {
		remark = "skipped: " + r.Skipped
	}
	shown := fit(w.cells(r), w.room()-len("  best"))
	var titles, row string
	for _, c := range shown {
		titles += fmt.Sprintf(" %*s", c.width, c.title)
		row += fmt.Sprintf(" %*s", c.width, c.text)
	}
	titles, row = titles[1:], strings.TrimRight(row[1:]+"  "+remark, " ")
	if len([]rune(row)) > w.room() { // a long remark has lines of its own
		row = strings.TrimSuffix(row, "  "+remark)
		for _, line := range broken(remark, max(w.room()-9, 20)) {
			row += "\n         " + line
		}
	}
	text := row + "\n"
	if titles != w.header {
		text = titles + "\n" + text
	}
	w.header, w.told, w.shown = titles, r.Step, w.now()
	w.print(text)
}

// cells are what the table shows of a record. The time left, the loss and the
// held-out loss stay longest.
func (w *watcher) cells(r run.Record) []part {
	optional := func(x *float64) string {
		if x == nil {
			return ""
		}
		return fmt.Sprintf("%.4f", *x)
	}
	return []part{
		{title: "step", width: 7, text: strconv.Itoa(r.Step)},
		{title: "loss", width: 8, text: fmt.Sprintf("%.4f", r.Loss)},
		{title: "smoothed", width: 8, text: fmt.Sprintf("%.4f", r.Smoothed), rank: 2},
		{title: "held out", width: 8, text: optional(r.Val)},
		{title: "bits/byte", width: 9, text: optional(r.ValBits), rank: 3},
		{title: "grad norm", width: 9, text: fmt.Sprintf("%.3f", r.GradNorm), rank: 5},
		{title: "tokens/s", width: 9, text: fmt.Sprintf("%.0f", r.TokensPerSecond), rank: 4},
		{title: "time", width: 8, text: numbers.Span(time.Duration(r.Seconds * float64(time.Second))), rank: 6},
		{title: "left", width: 8, text: w.left(), rank: 1},
	}
}

// room is how many columns a line may have: one less than the terminal, since a
// line as wide as that would be broken.
func (w *watcher) room() int {
	if w.width == nil {
		return math.MaxInt
	}
	return max(w.width()-1, 0)
}

// print prints lines, above the bar if there is one.
func (w *watcher) print(text string) {
	if w.width == nil {
		fmt.Fprint(w.out, text)
		return
	}
	fmt.Fprint(w.out, clearLine, text)
	if w.last.Step > 0 {
		w.draw()
	}
}

// left estimates the time to the end from the steps since the watcher began.
func (w *watcher) left() string {
	done := w.last.Step - w.start
	if done <= 0 {
		return ""
	}
	perStep := float64(w.now().Sub(w.began)) / float64(done)
	return numbers.Span(time.Duration(perStep * float64(w.total-w.last.Step)))
}

// draw draws the bar as it is after the last step, over the one before.
func (w *watcher) draw() {
	r := w.last
	state := []part{
		{text: fmt.Sprintf("loss %.4f", r.Loss), rank: 1},
		{text: fmt.Sprintf("~%.4f", r.Smoothed), rank: 3},
		{text: fmt.Sprintf("grad %.2f", r.GradNorm), rank: 5},
		{text: fmt.Sprintf("%.0f tok/s", r.TokensPerSecond), rank: 2},
		{text: w.left() + " left"},
	}
	if r.Bits > 0 {
		state = slices.Insert(state, 2, part{text: fmt.Sprintf("%.3f bits/byte", r.Bits), rank: 4})
	}
	count := fmt.Sprintf("(%d/%d)", r.Step, w.total)
	fmt.Fprint(w.out, clearLine, bar(float64(r.Step)/float64(w.total), count, state, w.room()))
	w.shown = w.now()
}
