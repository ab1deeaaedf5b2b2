package run

import (
	"encoding/json"
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

// About is the information on a run in its folder in addition to its settings
// and its log: about.json.
type About struct {
	Text    string     `json:"text"`     // a description of the text
	Bigram  Number     `json:"bigram"`   // the held-out loss of a bigram model
	HeldOut Share      `json:"held_out"` // the share that this loss and the losses during the run are measured on
	Starts  []Start    `json:"starts"`   // the start and every resumption
	Judged  *Judgement `json:"judged,omitempty"`
}

// Start is a process that trained the run.
type Start struct {
	Time       time.Time `json:"time"`
	AfterStep  int       `json:"after_step"`
	Command    string    `json:"command"`
	Go         string    `json:"go"`
	System     string    `json:"system"`
	CPU        string    `json:"cpu,omitempty"`
	Threads    int       `json:"threads"`
	Revision   string    `json:"revision,omitempty"`
	Changes    []string  `json:"changes,omitempty"`     // of settings
	PeakMemory float64   `json:"peak_memory,omitempty"` // bytes, at the end of the process
}

// Judgement is the loss on the whole held-out part at the end of a run.
type Judgement struct {
	Loss   Number `json:"loss"`
	Tokens int    `json:"tokens"`
}

// newStart describes this process.
func newStart(command string, afterStep int) Start {
	return Start{
		Time: time.Now().UTC().Truncate(time.Second), AfterStep: afterStep, Command: command,
		Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPU: machine.CPUName(),
		Threads: runtime.GOMAXPROCS(0), Revision: Revision(),
	}
}

// Revision returns the revision of the source from which the program was built,
// or "" if it is not known.
func Revision() string {
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
func readAbout(dir string) (a About, err error) {
	a = noAbout()
	path := filepath.Join(dir, AboutFile)
	data, err := files.ReadVerified(path, files.MaxSettings)
	if errors.Is(err, os.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, errors.Wrap(err, "reading what is known about the run")
	}
	return a, errors.Wrapf(json.Unmarshal(data, &a), "%s cannot be read (a run does not need it: remove it to continue)", path)
}

// noAbout is what is known of a run about which nothing is noted.
func noAbout() About { return About{Bigram: Number(math.NaN())} }

func (a About) save(dir string) error {
	return errors.Wrap(writeJSON(filepath.Join(dir, AboutFile), a), "saving what is known about the run")
}

// noteStart tells the folder of the run that this process trains it now.
func (r *Session) noteStart(command string) (err error) {
	if r.about, err = readAbout(r.dir); err != nil {
		r.warn("What was noted about the run's earlier starts is lost", err)
		r.about = noAbout()
	}
	r.about.Text = strings.Join(r.text.Describe(), "; ")
	r.about.Bigram, r.about.HeldOut, r.about.Judged = Number(r.bigram.Nats), shareOf(r.held), nil
	r.about.Starts = append(r.about.Starts, newStart(command, r.trainer.Steps()))
	return r.about.save(r.dir)
}

// noteEnd tells the folder of the run that this process has come to its end.
func (r *Session) noteEnd() error {
	r.about.Starts[len(r.about.Starts)-1].PeakMemory = machine.PeakMemory()
	return r.about.save(r.dir)
}
