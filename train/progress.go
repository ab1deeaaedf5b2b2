package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far something has come that has to be done before a run: a
// bar on a terminal, and a line when it ends. What did not have to be done shows
// nothing.
type progress struct {
	out   io.Writer
	what  string
	total int64
	began time.Time
	at    int64
	bar   *progressbar.ProgressBar // nil without a terminal
}

func newProgress(out io.Writer, what string, total int64) *progress {
	p := &progress{out: out, what: what, total: total, began: time.Now()}
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetDescription(what),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetRenderBlankState(false),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

// set tells how much of the total is done.
func (p *progress) set(at int64) {
	p.at = at
	if p.bar != nil {
		_ = p.bar.Set64(min(at, p.total)) // what cannot be drawn is no reason to stop
	}
}

// done ends it.
func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	if p.at > 0 {
		fmt.Fprintf(p.out, "%s: %s of %s in %s\n", p.what, commas(p.at), commas(p.total), span(time.Since(p.began)))
	}
}
