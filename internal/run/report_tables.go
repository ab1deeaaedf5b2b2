package run

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/report"
	"github.com/pkg/errors"
)

// What a report says of a run's model, settings and machine.

// partsOf lists the parts of a model, every block as one.
func partsOf(cfg xlstm.Config, cost xlstm.Cost) (all []report.Part) {
	inside := false
	for _, p := range cost.Parts {
		if p.Block < 0 {
			all = append(all, report.Part{Name: p.Name, Params: p.Params, Work: int64(p.Forward + 0.5)})
			continue
		}
		for block := 0; !inside && block < cfg.NumBlocks; block++ {
			whole := cost.OfBlock(block)
			all = append(all, report.Part{Name: fmt.Sprintf("block %d, %s", block, whole.Kind), Params: whole.Params, Work: int64(whole.Forward + 0.5)})
		}
		inside = true
	}
	return all
}

func memoryOf(cost xlstm.Cost) []report.Amount {
	m := cost.TrainingMemory()
	return []report.Amount{
		{Name: "parameters", Bytes: m.Params}, {Name: "gradients", Bytes: m.Gradients},
		{Name: "AdamW's moments", Bytes: m.Moments}, {Name: "activations", Bytes: m.Activations},
	}
}

// memoryNote says what the table of memory is, and what was measured.
func (v View) memoryNote() string {
	note := fmt.Sprintf("Computed from the shapes: what a training step on %d × %d tokens takes in float32.", v.Settings.Batch, v.Settings.Length)
	peak := 0.0
	for _, s := range v.About.Starts {
		peak = max(peak, s.PeakMemory)
	}
	if peak > 0 {
		note += fmt.Sprintf(" Measured: the process that trained, with its text, evaluations and samples, held %s at most.", numbers.Human(peak, "B"))
	}
	return note
}

// startTables tells of the processes that trained the run.
func (v View) startTables() (all []report.Table) {
	for _, s := range v.About.Starts {
		when := s.Time.UTC().Format("2 January 2006, 15:04:05 UTC")
		title := "Begun on " + when
		if s.AfterStep > 0 {
			title = fmt.Sprintf("Resumed after step %s on %s", numbers.Commas(s.AfterStep), when)
		}
		t := report.Table{Title: title}
		for _, r := range []report.Row{
			{Name: "command", Value: s.Command}, {Name: "changes", Value: strings.Join(s.Changes, "; ")}, {Name: "Go", Value: s.Go}, {Name: "system", Value: s.System}, {Name: "processor", Value: s.CPU},
			{Name: "threads", Value: strconv.Itoa(s.Threads)}, {Name: "seed", Value: strconv.FormatUint(v.Settings.Seed, 10)}, {Name: "source", Value: s.Revision},
		} {
			if r.Value != "" {
				t.Rows = append(t.Rows, r)
			}
		}
		if s.PeakMemory > 0 {
			t.Rows = append(t.Rows, report.Row{Name: "most memory", Value: numbers.Human(s.PeakMemory, "B")})
		}
		all = append(all, t)
	}
	return all
}

// settingRows lists all settings under their names in run.json.
func settingRows(s Settings) ([]report.Row, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, errors.Wrap(err, "listing the settings")
	}
	return report.Fields(text)
}

// settingTables lists all settings, those of the model apart.
func settingTables(s Settings) ([]report.Table, error) {
	rows, err := settingRows(s)
	if err != nil {
		return nil, err
	}
	training, model := report.Table{Title: "Training"}, report.Table{Title: "Model"}
	for _, r := range rows {
		if name, of := strings.CutPrefix(r.Name, "model."); of {
			model.Rows = append(model.Rows, report.Row{Name: name, Value: r.Value})
		} else {
			training.Rows = append(training.Rows, r)
		}
	}
	return []report.Table{training, model}, nil
}
