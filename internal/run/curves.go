package run

import (
	"fmt"
	"math"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/report"
	"github.com/pkg/errors"
)

// drawCurves draws how the losses fell, to loss.svg and loss.png in a folder. The
// same records give the same files.
func drawCurves(dir string, records []Record, about About) error {
	chart := lossChart(records, about)
	if err := files.WriteFile(filepath.Join(dir, "loss.svg"), chart.SVG); err != nil {
		return errors.Wrap(err, "drawing the loss curves")
	}
	return errors.Wrap(files.WriteFile(filepath.Join(dir, "loss.png"), chart.PNG), "drawing the loss curves")
}

// lossChart is the chart of the losses of a run, beside that of a bigram model.
func lossChart(records []Record, about About) report.Chart {
	bigram := float64(about.Bigram)
	held := curve(records, about.HeldOut.name("held out"), report.Other, func(r Record) float64 {
		if r.Val == nil {
			return math.NaN()
		}
		return *r.Val
	})
	held.Lowest = true
	return report.Chart{
		Title: "Loss, nats per token", Wide: true, Log: true,
		Curves: []report.Curve{
			curve(records, "training", report.Noise, func(r Record) float64 { return r.Loss }),
			curve(records, "training, smoothed", report.Main, func(r Record) float64 { return r.Smoothed }),
			held,
		},
		Levels: []report.Level{{Name: fmt.Sprintf("bigram model %.3f", bigram), Y: bigram}},
	}
}

// curve returns a number of every record.
func curve(records []Record, name string, kind report.Kind, of func(Record) float64) report.Curve {
	c := report.Curve{Name: name, Kind: kind}
	for _, r := range records {
		c.Steps, c.Y = append(c.Steps, r.Step), append(c.Y, of(r))
	}
	return c
}
