package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm/internal/run"
	"github.com/pkg/errors"
)

// comparisonFile is where the comparison of several runs is written by default.
const comparisonFile = "comparison.html"

// reportCommand writes what there is to see of a run, going on or finished, or of
// several, as one HTML file.
func reportCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("report", "Write the report of a run, finished or not: one HTML file with its curves, samples, settings and costs.\n"+
		"Of several runs, it shows the curves over one another, the results, and what differs in the settings.", c,
		"report runs/small", "report -o small.html runs/small", "report -tensorboard events runs/small", "report runs/small runs/small-2")
	out := f.String("o", "", "where to write it (default: report.html in the run's folder, or "+comparisonFile+" here for several runs)")
	events := f.String("tensorboard", "", "also write the run as an event file for TensorBoard, into a folder of this folder")
	dirs, err := parseWords(f, args)
	switch {
	case err != nil:
		return err
	case len(dirs) == 0:
		return errors.Errorf("report needs a folder: %s FOLDER", c.hint("report"))
	case len(dirs) > 1 && *events != "":
		return errors.New("-tensorboard is for one run; write the event files of several runs one by one")
	case len(dirs) > 1:
		return compareRuns(dirs, cmp.Or(*out, comparisonFile), c)
	}
	dir := dirs[0]
	v, err := run.Read(dir)
	if err != nil {
		return err
	}
	for _, flaw := range v.Flaws {
		fmt.Fprintln(c.err, flaw)
	}
	if *out == "" {
		*out = filepath.Join(dir, run.ReportFile)
	}
	if err := writeReport(ctx, v, *out, c); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Report: %s\n", *out)
	if *events == "" {
		return nil
	}
	written, err := v.WriteEvents(*events)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Events: %s\n", written)
	return nil
}

// compareRuns writes the comparison of several runs to a file.
func compareRuns(dirs []string, path string, c console) error {
	var views []run.View
	for _, dir := range dirs {
		v, err := run.Read(dir)
		if err != nil {
			return err
		}
		for _, flaw := range v.Flaws {
			fmt.Fprintln(c.err, flaw)
		}
		views = append(views, v)
	}
	if err := run.WriteComparison(path, views); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Comparison: %s\n", path)
	return nil
}

// writeReport writes the report of a run to a file.
func writeReport(ctx context.Context, v run.View, path string, c console) error {
	graph, err := foldedGraph(ctx, v.Settings)
	if err != nil { // the rest is worth having all the same
		fmt.Fprintf(c.err, "the report goes without the model's graph: %v\n", err)
	}
	return v.WriteReport(path, graph)
}

// foldedGraph draws the model of a run, folded to its blocks, as an SVG image.
func foldedGraph(ctx context.Context, s run.Settings) ([]byte, error) {
	folded := graphFlags{batch: 1, length: s.Length, depth: 2, forward: true}
	data, err := folded.marshal(s.Model)
	if err != nil {
		return nil, err
	}
	return picture(ctx, data, "svg")
}
