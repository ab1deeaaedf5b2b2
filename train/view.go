package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/report"
	"github.com/pkg/errors"
)

// runView is all that a run's folder says of the run, but the weights.
type runView struct {
	name     string
	settings settings
	about    about
	records  []record
	samples  []sample // by ascending step
	flaws    []string // sentences on what is damaged
}

// readRun reads the folder of a run, which may be going on.
func readRun(dir string) (v runView, err error) {
	if v.name, err = runName(dir); err != nil {
		return v, err
	}
	if v.settings, err = openRun(dir); err != nil {
		return v, err
	}
	if v.about, err = readAbout(dir); err != nil {
		v.flaw("what was noted about the run's starts is left out: %v", err)
		v.about = noAbout()
	}
	saved, err := checkpoints(dir, lastKind) // before the log, which is ahead of them
	if err != nil {
		return v, err
	}
	path, reached := filepath.Join(dir, logFile), 0
	if len(saved) > 0 {
		reached = saved[0].step
	}
	var found logFlaws
	if v.records, found, err = readLog(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return v, err
	}
	if flaw := found.flaw(reached); flaw != "" {
		v.flaw("%s %s", path, flaw)
	}
	var damaged int
	if v.samples, damaged, err = readSamples(dir); err != nil {
		v.flaw("the samples are left out: %v", err)
	}
	if damaged > 0 {
		v.flaw("%s left out, for checksums tell of damage", numbers.Were(damaged, "sample"))
	}
	return v, nil
}

// view reads the run's folder, in which it notes first that this process has come to
// its end.
func (r *session) view() (runView, error) {
	if err := r.noteEnd(); err != nil {
		return runView{}, err
	}
	return readRun(r.dir)
}

// flaw notes something that the run's folder lacks, in a sentence.
func (v *runView) flaw(format string, args ...any) {
	v.flaws = append(v.flaws, fmt.Sprintf(format, args...))
}

// runName is what a run is called: its folder.
func runName(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	return filepath.Base(abs), errors.Wrapf(err, "finding %s", dir)
}

// writeReport writes the run as an HTML file, with an SVG image of the model's
// graph if there is one.
func (v runView) writeReport(path string, graph []byte) error {
	cost, err := v.settings.Model.Cost(xlstm.CostOptions{Batch: v.settings.Batch, Steps: v.settings.Length})
	if err != nil {
		return err
	}
	page := report.Run{
		Name: v.name, State: v.state(), About: v.about.Text, Notes: v.notes(),
		Figures: v.figures(cost), Charts: v.charts(), Samples: v.samplePages(),
		Parts: partsOf(v.settings.Model, cost), Memory: memoryOf(cost), MemoryNote: v.memoryNote(),
		Starts: v.startTables(), Graph: graph,
	}
	if page.Settings, err = settingTables(v.settings); err != nil {
		return err
	}
	return files.WriteFile(path, func(w io.Writer) error { return report.Write(w, page) })
}
