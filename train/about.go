package main

import (
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/machine"
	"github.com/pkg/errors"
)

// about is what a run's folder tells of the run besides its settings and its
// log: about.json.
type about struct {
	Text    string     `json:"text"`     // what the text is, in words
	Bigram  number     `json:"bigram"`   // the held-out loss of a bigram model
	HeldOut share      `json:"held_out"` // of which that and the losses along the way are
	Starts  []start    `json:"starts"`   // the beginning, and every time it was resumed
	Judged  *judgement `json:"judged,omitempty"`
}

// start is a process that trained the run.
type start struct {
	Time       time.Time `json:"time"`
	AfterStep  int       `json:"after_step"`
	Command    string    `json:"command"`
	Go         string    `json:"go"`
	System     string    `json:"system"`
	CPU        string    `json:"cpu,omitempty"`
	Threads    int       `json:"threads"`
	Revision   string    `json:"revision,omitempty"`
	PeakMemory float64   `json:"peak_memory,omitempty"` // bytes, when it had come to its end
}

// judgement is the loss on the whole held-out part at the end of a run.
type judgement struct {
	Loss   number `json:"loss"`
	Tokens int    `json:"tokens"`
}

// newStart describes this process.
func newStart(command string, afterStep int) start {
	return start{
		Time: time.Now().UTC().Truncate(time.Second), AfterStep: afterStep, Command: command,
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPU: machine.CPUName(),
		Threads: runtime.GOMAXPROCS(0), Revision: revision(),
	}
}

// revision returns the state of the source that the program was built from,
// empty if the build does not know it.
func revision() string {
	info, known := debug.ReadBuildInfo()
	if !known {
		return ""
	}
	var hash, remark string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			hash = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			remark = ", modified"
		}
	}
	if hash == "" {
		return ""
	}
	return hash + remark
}

// readAbout reads what is known about the run in a folder: nothing, for a run of
// a program that did not write it.
func readAbout(dir string) (a about, err error) {
	a = noAbout()
	path := filepath.Join(dir, aboutFile)
	data, err := files.ReadVerified(path, files.MaxSettings)
	if errors.Is(err, os.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, errors.Wrap(err, "reading what is known about the run")
	}
	return a, errors.Wrapf(json.Unmarshal(data, &a), "%s cannot be read (a run does without it: remove it to go on)", path)
}

// noAbout is what is known of a run about which nothing is noted.
func noAbout() about { return about{Bigram: number(math.NaN())} }

func (a about) save(dir string) error {
	data, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return errors.Wrap(err, "saving what is known about the run")
	}
	return files.WriteSummed(filepath.Join(dir, aboutFile), func(w io.Writer) error {
		_, err := w.Write(append(data, '\n'))
		return err
	})
}

// noteStart tells the folder of the run that this process trains it now.
func (r *session) noteStart(command string) (err error) {
	if r.about, err = readAbout(r.dir); err != nil {
		r.warn("What was noted about the run's earlier starts is lost", err)
		r.about = noAbout()
	}
	r.about.Text = strings.Join(r.text.describe(), "; ")
	r.about.Bigram, r.about.HeldOut, r.about.Judged = number(r.bigram.nats), shareOf(r.held), nil
	r.about.Starts = append(r.about.Starts, newStart(command, r.trainer.Steps()))
	return r.about.save(r.dir)
}

// noteEnd tells the folder of the run that this process has come to its end.
func (r *session) noteEnd() error {
	r.about.Starts[len(r.about.Starts)-1].PeakMemory = machine.PeakMemory()
	return r.about.save(r.dir)
}
