package main

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
)

// clock is a time that passes only when told.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// watcher returns a watcher that goes by the clock.
func (c *clock) watcher(out io.Writer, total, start int) *watcher {
	w := newWatcher(out, total, start)
	w.now, w.began = c.now, c.now()
	return w
}

// watchedRun trains eight steps in two seconds each, evaluates after every third,
// and skips the sixth and the seventh.
func watchedRun(w *watcher, c *clock, start int) {
	val, bits := 3.25, 4.6887
	for i := range 8 {
		c.t = c.t.Add(2 * time.Second)
		step := start + i + 1
		r := run.Record{Step: step, Loss: 4 - float64(i)/8, Smoothed: 4 - float64(i)/16, GradNorm: 0.5, TokensPerSecond: 5120, Seconds: 2 * float64(step)}
		if i == 5 || i == 6 {
			r.Loss, r.Skipped = math.NaN(), "the loss is NaN"
		}
		if i%3 == 2 && r.Skipped == "" {
			r.Val, r.ValBits = &val, &bits
		}
		w.step(r)
		if r.Val != nil {
			w.eval(r, true)
		}
	}
	w.done()
}

func TestPlainTable(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	var out bytes.Buffer
	watchedRun(c.watcher(&out, 108, 100), c, 100)
	want := `
   step     loss smoothed held out bits/byte grad norm  tokens/s     time     left
    101   4.0000   4.0000                        0.500      5120    3m22s      14s
    103   3.7500   3.8750   3.2500    4.6887     0.500      5120    3m26s      10s  best
    106      NaN   3.6875                        0.500      5120    3m32s       4s  skipped: the loss is NaN
    108   3.1250   3.5625                        0.500      5120    3m36s       0s
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

// TestPlainTableIsShort: a line every five seconds, however fast the steps are.
func TestPlainTableIsShort(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	var out bytes.Buffer
	w := c.watcher(&out, 1000, 0)
	for step := 1; step <= 1000; step++ {
		c.t = c.t.Add(50 * time.Millisecond)
		w.step(run.Record{Step: step})
	}
	w.done()
	if lines := strings.Count(out.String(), "\n"); lines != 1+1+9+1 {
		t.Errorf("%d lines for 50 seconds:\n%s", lines, &out)
	}
}

// screen is what a terminal shows after the given output.
func screen(output string) string {
	var lines []string
	for _, line := range strings.Split(output, "\n") {
		drawn := strings.Split(line, clearLine)
		lines = append(lines, drawn[len(drawn)-1])
	}
	return strings.Join(lines, "\n")
}

func TestBarStaysBelowTheTable(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	var out bytes.Buffer
	w := c.watcher(&out, 8, 0)
	w.width = func() int { return 90 }
	watchedRun(w, c, 0)
	want := `
   step     loss smoothed held out bits/byte grad norm  tokens/s     time     left
      3   3.7500   3.8750   3.2500    4.6887     0.500      5120       6s      10s  best
      6      NaN   3.6875                        0.500      5120      12s       4s
         skipped: the loss is NaN
100% |██████████████████████████| (8/8) loss 3.1250 ~3.5625 grad 0.50 5120 tok/s 0s left
`
	if got := "\n" + screen(out.String()); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

func TestBarShowsEveryStepWhenTheyAreSlow(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	var out bytes.Buffer
	w := c.watcher(&out, 4, 0)
	w.width = func() int { return 70 }
	for step := 1; step <= 4; step++ {
		c.t = c.t.Add(time.Minute)
		w.step(run.Record{Step: step, Loss: 2, Smoothed: 2})
	}
	want := []string{"",
		"25% |█      | (1/4) loss 2.0000 ~2.0000 grad 0.00 0 tok/s 3m0s left",
		"50% |███    | (2/4) loss 2.0000 ~2.0000 grad 0.00 0 tok/s 2m0s left",
		"75% |█████  | (3/4) loss 2.0000 ~2.0000 grad 0.00 0 tok/s 1m0s left",
		"100% |█████████| (4/4) loss 2.0000 ~2.0000 grad 0.00 0 tok/s 0s left",
	}
	if got := strings.Split(out.String(), clearLine); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("drawn\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestBarFitsTheTerminal: a line that is too wide would be broken, and could
// not be drawn over.
func TestBarFitsTheTerminal(t *testing.T) {
	for _, width := range []int{0, 1, 20, 80, 200} {
		c := &clock{time.Unix(0, 0)}
		var out bytes.Buffer
		w := c.watcher(&out, 100000, 0)
		w.width = func() int { return width }
		c.t = c.t.Add(time.Second)
		w.step(run.Record{Step: 12345, Loss: 1.25, Smoothed: 1.5, GradNorm: 0.5, TokensPerSecond: 51234})
		if got := len([]rune(strings.TrimPrefix(out.String(), clearLine))); got > max(width-1, 0) {
			t.Errorf("%d columns on a terminal of %d:\n%s", got, width, &out)
		}
	}
}

// TestTableFitsTheTerminal: columns leave by their importance, the time left
// and the held-out loss stay, and no line is wider than the terminal.
func TestTableFitsTheTerminal(t *testing.T) {
	for width, header := range map[int]string{
		120: "   step     loss smoothed held out bits/byte grad norm  tokens/s     time     left",
		80:  "   step     loss smoothed held out bits/byte grad norm  tokens/s     left",
		60:  "   step     loss smoothed held out bits/byte     left",
		40:  "   step     loss held out",
	} {
		c := &clock{time.Unix(0, 0)}
		var out bytes.Buffer
		w := c.watcher(&out, 8, 0)
		w.width = func() int { return width }
		watchedRun(w, c, 0)
		shown := screen(out.String())
		if got, _, _ := strings.Cut(shown, "\n"); got != header {
			t.Errorf("on %d columns the table is\n%s\nwant\n%s", width, got, header)
		}
		for _, line := range strings.Split(shown, "\n") {
			if n := len([]rune(line)); n >= width {
				t.Errorf("%d columns on a terminal of %d: %s", n, width, line)
			}
		}
		if lines := strings.Split(strings.TrimSpace(shown), "\n"); width >= 60 && !strings.HasSuffix(lines[len(lines)-1], " 0s left") {
			t.Errorf("on %d columns the bar is without the time left: %s", width, lines[len(lines)-1])
		}
	}
}

// TestTableFollowsTheTerminal: with another header where the columns change.
func TestTableFollowsTheTerminal(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	var out bytes.Buffer
	w, width, val := c.watcher(&out, 8, 0), 120, 2.5
	w.width = func() int { return width }
	for step := 1; step <= 4; step++ {
		if step == 3 {
			width = 60
		}
		w.eval(run.Record{Step: step, Val: &val}, false)
	}
	if n := strings.Count(out.String(), "held out"); n != 2 {
		t.Errorf("%d headers, want 2:\n%s", n, screen(out.String()))
	}
}

// TestBarOfWhatIsToBeDone fits any width, and is full at the end.
func TestBarOfWhatIsToBeDone(t *testing.T) {
	state := func() []part { return []part{{text: "of 11,170,080", rank: 1}, {text: "3s left"}} }
	for _, width := range []int{0, 1, 10, 40, 60, 79} {
		for _, done := range []float64{-1, 0, 0.5, 1, 2} {
			if line := bar(done, "tokenising, in bytes", state(), width); utf8.RuneCountInString(line) > width {
				t.Errorf("%d columns for %d: %s", utf8.RuneCountInString(line), width, line)
			}
		}
	}
	if line, want := bar(0.5, "tokenising, in bytes", state(), 59), "50% |████    | tokenising, in bytes of 11,170,080 3s left"; line != want {
		t.Errorf("the bar is\n%s, want\n%s", line, want)
	}
	if line := bar(1, "learning", nil, 40); strings.Contains(line, "█ ") || !strings.HasPrefix(line, "100% |█") {
		t.Errorf("at the end it is %q", line)
	}
}
