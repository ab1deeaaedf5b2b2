package experiment

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/report"
	"github.com/pkg/errors"
)

// WritePage writes the results of an experiment as an HTML file.
func (e Experiment) WritePage(path string, setting Setting, all []Result) error {
	about := e.Minutes
	if setting == Full {
		about = e.Full
	}
	differ, common, err := settings(all)
	if err != nil {
		return err
	}
	page := report.Run{
		Kind: "xLSTM experiment", Name: e.Name, State: e.About, About: fmt.Sprintf("Setting %s: %s.", setting, about),
		Grids: []report.Grid{figuresGrid(all)}, Settings: []report.Table{{Title: "Common to all", Rows: common}},
	}
	for _, r := range all {
		if r.Failed != "" {
			page.Notes = append(page.Notes, fmt.Sprintf("%s ended early: %s.", r.Name, r.Failed))
		}
	}
	if grid := measuredGrid(all); len(grid.Rows) > 0 {
		page.Grids = append(page.Grids, grid)
	}
	if len(differ.Rows) > 0 {
		page.Grids = append(page.Grids, differ)
	}
	for _, p := range e.charts(all) {
		page.Charts = append(page.Charts, p.Chart(all))
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
	sorted := slices.SortedFunc(maps.Keys(names), byNumbers)
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

// byNumbers compares names, those that differ in the number at their ends by it.
func byNumbers(a, b string) int {
	textA, textB := strings.TrimRight(a, digits), strings.TrimRight(b, digits)
	return cmp.Or(cmp.Compare(textA, textB), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

const digits = "0123456789"

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
	grid.Title, grid.About = "Measured on this machine", "They differ from run to run."
	return grid
}

// settings returns what the groups have in common in their settings, and what
// they differ in.
func settings(all []Result) (differ report.Grid, common []report.Row, err error) {
	var names []string
	var lists [][]report.Row
	for _, g := range grouped(all) {
		rows, err := report.Fields(g.results[0].Settings)
		if err != nil {
			return differ, nil, errors.Wrapf(err, "the settings of %s", g.name)
		}
		names, lists = append(names, g.name), append(lists, rows)
	}
	differ, common = report.Differences(names, lists)
	differ.Title = "Settings that differ"
	return differ, common, nil
}
