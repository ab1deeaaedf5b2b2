package run

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/report"
	"github.com/gorgonia-xlstm/xlstm/internal/rundir"
	"github.com/pkg/errors"
)

// View is the content of a run's folder except the weights.
type View struct {
	Name     string
	Settings Settings
	About    About
	Records  []Record
	Samples  []Sample // by ascending step
	// Positions is the loss by position that was measured last, if it was.
	Positions []xlstm.PositionLoss
	Flaws     []string // sentences on what is damaged
}

// Read reads the folder of a run, which may be in progress.
func Read(dir string) (v View, err error) {
	if v.Name, err = runName(dir); err != nil {
		return v, err
	}
	if v.Settings, err = SettingsAt(dir); err != nil {
		return v, err
	}
	if v.About, err = readAbout(dir); err != nil {
		v.flaw("what was noted about the run's starts is left out: %v", err)
		v.About = noAbout()
	}
	saved, err := rundir.Checkpoints(dir, rundir.LastKind) // before the log, which is ahead of them
	if err != nil {
		return v, err
	}
	path, reached := filepath.Join(dir, LogFile), 0
	if len(saved) > 0 {
		reached = saved[0].Step
	}
	var found LogFlaws
	if v.Records, found, err = ReadLog(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return v, err
	}
	if flaw := found.flaw(reached); flaw != "" {
		v.flaw("%s %s", path, flaw)
	}
	if v.Positions, err = readPositions(dir); err != nil {
		v.flaw("the loss by position is left out: %v", err)
	}
	var damaged int
	if v.Samples, damaged, err = readSamples(dir); err != nil {
		v.flaw("the samples are left out: %v", err)
	}
	if damaged > 0 {
		v.flaw("%s left out, for checksums tell of damage", numbers.Were(damaged, "sample"))
	}
	return v, nil
}

// View records the end of this process in the run's folder and then reads the
// folder.
func (r *Session) View() (View, error) {
	if err := r.noteEnd(); err != nil {
		return View{}, err
	}
	return Read(r.dir)
}

// flaw notes something that the run's folder lacks, in a sentence.
func (v *View) flaw(format string, args ...any) {
	v.Flaws = append(v.Flaws, fmt.Sprintf(format, args...))
}

// runName is what a run is called: its folder.
func runName(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	return filepath.Base(abs), errors.Wrapf(err, "finding %s", dir)
}

// WriteReport writes the run as an HTML file, with an SVG image of the model's
// graph if there is one.
func (v View) WriteReport(path string, graph []byte) error {
	cost, err := v.Settings.Model.Cost(xlstm.CostOptions{Batch: v.Settings.Batch, Steps: v.Settings.Length})
	if err != nil {
		return err
	}
	page := report.Run{
		Name: v.Name, State: v.state(), About: v.About.Text, Notes: v.notes(),
		Figures: v.figures(cost), Charts: v.charts(), Samples: v.samplePages(),
		Parts: partsOf(v.Settings.Model, cost), Memory: memoryOf(cost), MemoryNote: v.memoryNote(),
		Starts: v.startTables(), Graph: graph,
	}
	if page.Settings, err = settingTables(v.Settings); err != nil {
		return err
	}
	return files.WriteFile(path, func(w io.Writer) error { return report.Write(w, page) })
}
