package run

import (
	"fmt"
	"slices"
	"time"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/data"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/gorgonia-xlstm/xlstm/internal/report"
)

// What a report says of a run's course: its state, figures and curves.

// last returns the newest record, an empty one if there is none.
func (v View) last() Record {
	if len(v.Records) == 0 {
		return Record{}
	}
	return v.Records[len(v.Records)-1]
}

func (v View) state() string {
	done, all := numbers.Commas(v.last().Step), numbers.Commas(v.Settings.Steps)
	switch {
	case v.About.Judged != nil:
		return fmt.Sprintf("Finished: %s of %s steps.", done, all)
	case len(v.Records) == 0:
		return fmt.Sprintf("None of its %s steps has been taken yet.", all)
	}
	return fmt.Sprintf("%s of %s steps; it is running, or was stopped.", done, all)
}

// notes tells of steps that were skipped.
func (v View) notes() []string {
	skipped, first := 0, Record{}
	for _, r := range v.Records {
		if r.Skipped == "" {
			continue
		}
		if skipped++; skipped == 1 {
			first = r
		}
	}
	if skipped == 0 {
		return v.Flaws
	}
	return append(slices.Clone(v.Flaws), fmt.Sprintf("%s skipped, nothing of which was applied; the first of them is step %s: %s.", numbers.Were(skipped, "step"), numbers.Commas(first.Step), first.Skipped))
}

// figures are the numbers at the top.
func (v View) figures(cost xlstm.Cost) (all []report.Figure) {
	add := func(name, value, about string) {
		all = append(all, report.Figure{Name: name, Value: value, About: about})
	}
	if best := v.Best(); best.Val != nil {
		add(v.About.HeldOut.name("best held-out loss"), fmt.Sprintf("%.4f", *best.Val), fmt.Sprintf("at step %s; perplexity %.3f", numbers.Commas(best.Step), data.Perplexity(*best.Val)))
	}
	if j := v.About.Judged; j != nil && numbers.Finite(float64(j.Loss)) {
		add("loss on all held out", fmt.Sprintf("%.4f", float64(j.Loss)), numbers.Commas(j.Tokens)+" tokens")
	}
	if last := v.last(); last.Step > 0 {
		add("training loss", fmt.Sprintf("%.4f", last.Smoothed), "smoothed, at the end")
		add("trained on", numbers.Commas(last.Tokens), "tokens, in "+numbers.Span(time.Duration(last.Seconds*float64(time.Second))))
		add("speed", numbers.Commas(int64(float64(last.Tokens)/last.Seconds)), "tokens a second")
	}
	add("model", numbers.Commas(cost.Total().Params), "parameters in "+Size(v.Settings.Model))
	return all
}

// Best returns the record with the lowest held-out loss, or one without a
// held-out loss if there is none.
func (v View) Best() (best Record) {
	for _, r := range v.Records {
		if r.Val != nil && numbers.Finite(*r.Val) && (best.Val == nil || *r.Val < *best.Val) {
			best = r
		}
	}
	return best
}

// charts are the curves of the run.
func (v View) charts() []report.Chart {
	window := max(5, len(v.Records)/100)
	mean := fmt.Sprintf("mean of %d steps", window)
	norms := curve(v.Records, "each step", report.Noise, func(r Record) float64 { return r.GradNorm })
	speeds := v.speeds(1)
	rate := report.Chart{Title: "Learning rate", Curves: []report.Curve{curve(v.Records, "learning rate", report.Main, func(r Record) float64 { return r.LR })}}
	norm := report.Chart{Title: "Gradient norm", Log: true, Curves: []report.Curve{norms, {Name: mean, Kind: report.Main, Steps: norms.Steps, Y: means(norms.Y, window)}}}
	if v.Settings.Clip > 0 {
		norm.Levels = []report.Level{{Name: fmt.Sprintf("clipped at %g", v.Settings.Clip), Y: v.Settings.Clip}}
	}
	speed := report.Chart{Title: "Tokens a second", Curves: []report.Curve{
		{Name: "each step", Kind: report.Noise, Steps: norms.Steps, Y: speeds},
		{Name: mean, Kind: report.Main, Steps: norms.Steps, Y: v.speeds(window)},
	}}
	return []report.Chart{lossChart(v.Records, v.About), rate, norm, speed, v.positionsChart()}
}

// speeds returns for every record how many tokens a second there were over the
// steps of a window up to it, or of its part since the beginning.
func (v View) speeds(window int) (all []float64) {
	var before Record
	for i, r := range v.Records {
		if i >= window {
			before = v.Records[i-window]
		}
		all = append(all, float64(r.Tokens-before.Tokens)/(r.Seconds-before.Seconds))
	}
	return all
}

// means returns the means over a window of the numbers that are finite; NaN
// where there is none.
func means(y []float64, window int) (all []float64) {
	sums, counts := make([]float64, len(y)+1), make([]int, len(y)+1) // of those before
	for i, v := range y {
		sums[i+1], counts[i+1] = sums[i], counts[i]
		if numbers.Finite(v) {
			sums[i+1] += v
			counts[i+1]++
		}
		from := max(0, i+1-window)
		all = append(all, (sums[i+1]-sums[from])/float64(counts[i+1]-counts[from]))
	}
	return all
}
