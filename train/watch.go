package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// watcher shows a person how a run goes on: a table with a line for every
// evaluation and every first of a row of skipped steps, and below it, on a
// terminal, a progress bar. Where there is no terminal to draw on, the table
// has lines for steps in between as well, one every few seconds.
type watcher struct {
	out          io.Writer
	total, start int              // the last step of the run, and the step that it goes on after
	now          func() time.Time // time.Now, or a test's clock
	began        time.Time

	headed bool      // the table's header is printed
	last   record    // of the latest step
	told   int       // the step of the table's latest line
	shown  time.Time // when that line was printed, or the bar was last drawn

	bar   *progressbar.ProgressBar // nil without a terminal
	width func() int               // of the terminal, in columns
}

// newWatcher returns a watcher for a run of total steps that goes on after step
// start, 0 if it begins.
func newWatcher(out io.Writer, total, start int) *watcher {
	w := &watcher{out: out, total: total, start: start, now: time.Now, began: time.Now(), told: start}
	file, ok := out.(*os.File)
	if ok && term.IsTerminal(int(file.Fd())) {
		w.useBar(func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 80
			}
			return width
		})
	}
	return w
}

// step shows the record of a step. It is to be called for every step, and eval
// after it if the record has a held-out loss.
func (w *watcher) step(r record) {
	newlySkipped := r.Skipped != "" && w.last.Skipped == ""
	w.last = r
	waited := w.now().Sub(w.shown)
	switch {
	case r.Val != nil: // eval shows it
	case newlySkipped || w.bar == nil && waited >= 5*time.Second:
		w.tell(r, "")
	case w.bar != nil && (waited >= 100*time.Millisecond || r.Step == w.total):
		w.draw()
	}
}

// eval shows the record of a step after which the held-out loss was measured;
// best is whether it is the lowest so far.
func (w *watcher) eval(r record, best bool) {
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
	case w.bar != nil && w.last.Step > 0:
		w.draw()
		fmt.Fprintln(w.out)
	case w.last.Step > w.told:
		w.tell(w.last, "")
	}
	w.bar = nil // what is printed from now on has no bar below it
}

// tell prints a line of the table.
func (w *watcher) tell(r record, remark string) {
	var text string
	if !w.headed {
		text = "   step     loss smoothed held out bits/byte grad norm  tokens/s     time     left\n"
	}
	val, bits := "", ""
	if r.Val != nil {
		val = fmt.Sprintf("%.4f", *r.Val)
	}
	if r.ValBits != nil {
		bits = fmt.Sprintf("%.4f", *r.ValBits)
	}
	if r.Skipped != "" {
		remark = "skipped: " + r.Skipped
	}
	spent := time.Duration(r.Seconds * float64(time.Second))
	row := fmt.Sprintf("%7d %8.4f %8.4f %8s %9s %9.3f %9.0f %8s %8s  %s",
		r.Step, r.Loss, r.Smoothed, val, bits, r.GradNorm, r.TokensPerSecond, span(spent), w.left(), remark)
	w.headed, w.told, w.shown = true, r.Step, w.now()
	w.print(text + strings.TrimRight(row, " ") + "\n")
}

// print prints lines, above the bar if there is one.
func (w *watcher) print(text string) {
	if w.bar == nil {
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
	return span(time.Duration(perStep * float64(w.total-w.last.Step)))
}

// span prints a duration to the second, or to the minute from an hour on.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	if d < time.Hour {
		return d.String()
	}
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
}

// clearLine takes the cursor to the start of a terminal's line and empties it.
const clearLine = "\r\x1b[K"

// useBar gives the watcher a progress bar on a terminal of the given width.
// The bar writes nowhere: its text is taken and drawn here, where the lines
// above it are printed.
func (w *watcher) useBar(width func() int) {
	w.width = width
	w.bar = progressbar.NewOptions(w.total,
		progressbar.OptionSetWriter(io.Discard),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionShowCount(),
		progressbar.OptionShowDescriptionAtLineEnd(),
	)
}

// draw draws the bar as it is after the last step, over the one before.
func (w *watcher) draw() {
	r := w.last
	bits := ""
	if r.Bits > 0 {
		bits = fmt.Sprintf(" %.3f bits/byte", r.Bits)
	}
	state := fmt.Sprintf("loss %.4f ~%.4f%s grad %.2f %.0f tok/s %s left", r.Loss, r.Smoothed, bits, r.GradNorm, r.TokensPerSecond, w.left())
	room := w.width() - 1 // a line as wide as the terminal would be broken
	around := len(fmt.Sprintf("%4d%% || (%d/%d) %s ", 100, r.Step, w.total, state))
	progressbar.OptionSetWidth(max(room-around, 1))(w.bar)
	progressbar.OptionSetDescription(state)(w.bar)
	if err := w.bar.Set(r.Step); err != nil {
		return // only a step beyond the last, which has no place on the bar
	}
	text := []rune(strings.TrimSpace(w.bar.String()))
	fmt.Fprint(w.out, clearLine, string(text[:min(len(text), max(room, 0))]))
	w.shown = w.now()
}
