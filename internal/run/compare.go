package run

import (
	"fmt"
	"io"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/report"
)

// WriteComparison writes several runs as one HTML file: their curves over one
// another, their results, and what differs in their settings.
func WriteComparison(path string, runs []View) error {
	page := report.Run{
		Kind: "xLSTM runs compared", Name: strings.Join(names(runs), ", "), State: numbers.Count(len(runs), "run") + " compared.",
		Charts: []report.Chart{
			compared(runs, "Held-out loss", func(r Record) (float64, bool) { return deref(r.Val), r.Val != nil }),
			compared(runs, "Training loss, smoothed", func(r Record) (float64, bool) { return r.Smoothed, true }),
			compared(runs, "Learning rate", func(r Record) (float64, bool) { return r.LR, true }),
		},
	}
	for _, v := range runs {
		for _, note := range v.notes() {
			page.Notes = append(page.Notes, v.Name+": "+note)
		}
	}
	results, err := comparedResults(runs)
	if err != nil {
		return err
	}
	differ, common, err := comparedSettings(runs)
	if err != nil {
		return err
	}
	page.Grids = []report.Grid{results, differ}
	page.Settings = []report.Table{{Title: "Common to all", Rows: common}}
	return files.WriteFile(path, func(w io.Writer) error { return report.Write(w, page) })
}

// names are what the runs are called; runs of one name are numbered.
func names(runs []View) (all []string) {
	times := make(map[string]int)
	for _, v := range runs {
		times[v.Name]++
	}
	for i, v := range runs {
		if name := v.Name; times[name] > 1 {
			all = append(all, fmt.Sprintf("%s (%d)", name, i+1))
		} else {
			all = append(all, name)
		}
	}
	return all
}

func deref(x *float64) float64 {
	if x == nil {
		return 0
	}
	return *x
}

// compared is a chart of one curve of every run; of says what a record has of it.
func compared(runs []View, title string, of func(r Record) (float64, bool)) report.Chart {
	c := report.Chart{Title: title, Wide: len(title) < 24, Log: true}
	for i, name := range names(runs) {
		curve := report.Curve{Name: name, Kind: report.Series(i)}
		for _, r := range runs[i].Records {
			if y, ok := of(r); ok {
				curve.Steps, curve.Y = append(curve.Steps, r.Step), append(curve.Y, y)
			}
		}
		c.Curves = append(c.Curves, curve)
	}
	return c
}

// comparedResults has a row for each run.
func comparedResults(runs []View) (report.Grid, error) {
	g := report.Grid{Title: "Results", Head: []string{"run", "best held-out loss", "at step", "steps", "tokens", "tokens a second", "parameters"}}
	for i, name := range names(runs) {
		v := runs[i]
		cost, err := v.Settings.Model.Cost(xlstm.CostOptions{Batch: v.Settings.Batch, Steps: v.Settings.Length})
		if err != nil {
			return g, err
		}
		row := []string{name, "–", "–"}
		if best := v.Best(); best.Val != nil {
			row = []string{name, fmt.Sprintf("%.4f", *best.Val), numbers.Commas(best.Step)}
		}
		last, speed := v.last(), "–"
		if last.Seconds > 0 {
			speed = numbers.Commas(int64(float64(last.Tokens) / last.Seconds))
		}
		g.Rows = append(g.Rows, append(row, numbers.Commas(last.Step), numbers.Commas(last.Tokens), speed, numbers.Commas(cost.Total().Params)))
	}
	return g, nil
}

// comparedSettings are the settings in which the runs differ, and the others.
func comparedSettings(runs []View) (differ report.Grid, common []report.Row, err error) {
	var lists [][]report.Row
	for _, v := range runs {
		rows, err := settingRows(v.Settings)
		if err != nil {
			return differ, nil, err
		}
		lists = append(lists, rows)
	}
	differ, common = report.Differences(names(runs), lists)
	differ.Title = "Settings that differ"
	if len(differ.Rows) == 0 {
		differ.About = "None."
	}
	return differ, common, nil
}
