package main

import (
	"fmt"
	"io"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
)

// progress shows how far something has come that has to be done before a run: a
// bar on a terminal, and a line when it ends. What did not have to be done shows
// nothing.
type progress struct {
	out          io.Writer
	what         string
	total, at    int64
	began, shown time.Time
}

// progress shows on the console's output how far something has come. It is a run's
// Progress.
func (c console) progress(what string, total int64) (set func(at int64), done func()) {
	p := newProgress(c.out, what, total)
	return p.set, p.done
}

func newProgress(out io.Writer, what string, total int64) *progress {
	return &progress{out: out, what: what, total: total, began: time.Now()}
}

// set tells how much of the total is done.
func (p *progress) set(at int64) {
	p.at = at
	width, terminal := columns(p.out)
	if !terminal || at <= 0 || time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	spent := time.Since(p.began)
	left := time.Duration(float64(spent) * max(0, float64(p.total)/float64(at)-1))
	state := []part{{text: "of " + numbers.Commas(p.total), rank: 1}, {text: numbers.Span(left) + " left"}}
	fmt.Fprint(p.out, clearLine, bar(float64(at)/float64(p.total), p.what, state, width-1))
	p.shown = time.Now()
}

// done ends it.
func (p *progress) done() {
	if _, terminal := columns(p.out); terminal {
		fmt.Fprint(p.out, clearLine)
	}
	if p.at > 0 {
		fmt.Fprintf(p.out, "%s: %s of %s in %s\n", p.what, numbers.Commas(p.at), numbers.Commas(p.total), numbers.Span(time.Since(p.began)))
	}
}
