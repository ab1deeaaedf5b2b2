package experiment

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/report"
)

// WritePage writes the results of an experiment as an HTML file.
func (e Experiment) WritePage(path string, setting Setting, all []Result) error {
	about := e.Minutes
	if setting == Full {
		about = e.Full
	}
	page := report.Run{
		Kind: "xLSTM experiment", Name: e.Name, State: e.About, About: fmt.Sprintf("Setting %s: %s.", setting, about),
		Grids: []report.Grid{figuresGrid(all)}, Settings: settingsOf(all),
	}
	for _, r := range all {
		if r.Failed != "" {
			page.Notes = append(page.Notes, fmt.Sprintf("%s ended early: %s.", r.Name, r.Failed))
		}
	}
	if grid := measuredGrid(all); len(grid.Rows) > 0 {
		page.Grids = append(page.Grids, grid)
	}
	for _, p := range e.charts(all) {
		page.Charts = append(page.Charts, p.chart(all))
	}
	return files.WriteFile(path, func(w io.Writer) error { return report.Write(w, page) })
}

// figuresGrid is the figures of every group.
func figuresGrid(all []Result) report.Grid {
	names := make(map[string]bool)
	for _, r := range all {
		for name := range r.Figures {
			names[name] = true
		}
	}
	sorted := slices.Sorted(maps.Keys(names))
	grid := report.Grid{Title: "Results", About: "Means over the seeds, and the lowest and the highest.", Head: append([]string{"run", "seeds", "parameters"}, sorted...)}
	for _, g := range grouped(all) {
		row := []string{g.name, strconv.Itoa(len(g.results)), numbers.Commas(g.results[0].Params)}
		for _, name := range sorted {
			row = append(row, figure(g.results, name).String())
		}
		grid.Rows = append(grid.Rows, row)
	}
	return grid
}

// measuredGrid is the times and the memory of every group.
func measuredGrid(all []Result) report.Grid {
	var measured []Result
	for _, r := range all {
		if len(r.Measured) > 0 {
			r.Figures = r.Measured
			measured = append(measured, r)
		}
	}
	grid := figuresGrid(measured)
	grid.Title, grid.About = "Measured on this machine", "Times in microseconds, memory in MiB; they differ from run to run."
	return grid
}

// settingsOf lists the settings of one run of every group.
func settingsOf(all []Result) (tables []report.Table) {
	for _, g := range grouped(all) {
		tables = append(tables, report.Table{Title: g.name, Rows: []report.Row{{Name: "settings", Value: string(g.results[0].Settings)}}})
	}
	return tables
}
