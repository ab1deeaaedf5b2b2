package experiment

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/report"
)

// group is the results of runs that differ in their seeds.
type group struct {
	name    string
	labels  map[string]string
	results []Result
}

// grouped returns the groups of results, in the order of their first runs.
func grouped(all []Result) (groups []group) {
	for _, r := range all {
		i := slices.IndexFunc(groups, func(g group) bool { return g.name == r.Group })
		if i < 0 {
			i = len(groups)
			groups = append(groups, group{name: r.Group, labels: r.Labels})
		}
		groups[i].results = append(groups[i].results, r)
	}
	return groups
}

// where returns the results with all of the given labels.
func where(all []Result, labels ...string) (some []Result) {
	for _, r := range all {
		fits := true
		for i := 0; i < len(labels); i += 2 {
			fits = fits && r.Labels[labels[i]] == labels[i+1]
		}
		if fits {
			some = append(some, r)
		}
	}
	return some
}

// values returns the values of a label, in the order of their first runs.
func values(all []Result, label string) (found []string) {
	for _, r := range all {
		if v := r.Labels[label]; !slices.Contains(found, v) {
			found = append(found, v)
		}
	}
	return found
}

// spread is the mean of numbers, and the lowest and highest.
type spread struct {
	mean, low, high float64
	n               int
}

func spreadOf(numbers []float64) spread {
	s := spread{low: math.Inf(1), high: math.Inf(-1), n: len(numbers)}
	for _, y := range numbers {
		s.mean += y / float64(len(numbers))
		s.low, s.high = min(s.low, y), max(s.high, y)
	}
	return s
}

// String returns the mean, and the range if there are several numbers that
// differ.
func (s spread) String() string {
	switch {
	case s.n == 0:
		return "–"
	case short(s.low) == short(s.high):
		return short(s.mean)
	}
	return fmt.Sprintf("%s (%s to %s)", short(s.mean), short(s.low), short(s.high))
}

// short writes a number with three decimals, or four digits if it is large.
func short(y float64) string {
	if math.Abs(y) >= 100 {
		return fmt.Sprintf("%.4g", y)
	}
	return strings.Replace(fmt.Sprintf("%.3f", y), "-0.000", "0.000", 1)
}

// figure returns a figure over the results that have it.
func figure(results []Result, name string) spread {
	var all []float64
	for _, r := range results {
		if y, ok := r.Figures[name]; ok {
			all = append(all, y)
		}
	}
	return spreadOf(all)
}

// Plot is curves of the results over one another.
type Plot struct {
	Title, Axis string
	LogX, Log   bool
	// Curve is the name of the curve of every group that is shown, or else
	// Figure a figure of the groups over a label that is a number.
	Curve, Figure, Over string
	Only                []string // label and value of the results, in turn
	// By is the label that tells curves apart in the legend.
	By string
}

// overParameters is what a figure is shown over that is shown over the number of
// parameters without embedding and head.
const overParameters = "parameters"

// Chart returns the plot's chart: of every curve the mean over the seeds, and
// their spread.
func (p Plot) Chart(all []Result) report.Chart {
	c := report.Chart{Title: p.Title, Axis: p.Axis, LogX: p.LogX, Log: p.Log, Wide: true}
	all = where(all, p.Only...)
	for _, by := range values(all, p.By) {
		curve := meanCurve(p.points(where(all, p.By, by)))
		if len(curve.Y) == 0 {
			continue
		}
		curve.Name, curve.Kind = titleOf(p.By, by), report.Series(colourOf(p.By, by, len(c.Curves)))
		c.Curves = append(c.Curves, curve)
	}
	return c
}

// points returns the curves of some results: those of their runs, or one for each
// seed of the figure over what the runs differ in.
func (p Plot) points(some []Result) (curves []Curve) {
	if p.Curve != "" {
		for _, r := range some {
			if c := r.curve(p.Curve); len(c.X) > 0 {
				curves = append(curves, c)
			}
		}
		return curves
	}
	for _, r := range some {
		y, ok := r.Figures[p.Figure]
		x, err := inner(r), error(nil)
		if p.Over != overParameters {
			x, err = strconv.Atoi(r.Labels[p.Over])
		}
		if !ok || err != nil {
			continue
		}
		i := slices.IndexFunc(curves, func(c Curve) bool { return c.Name == strconv.FormatUint(r.Seed, 10) })
		if i < 0 {
			i = len(curves)
			curves = append(curves, Curve{Name: strconv.FormatUint(r.Seed, 10)})
		}
		curves[i].X, curves[i].Y = append(curves[i].X, x), append(curves[i].Y, y)
	}
	return curves
}

// titleOf returns what a value of a label is called.
func titleOf(label, value string) string {
	if c, err := cellNamed(value); label == "cell" && err == nil {
		return c.Title
	}
	return value
}

// colourOf returns the number of the colour of a value of a label, curve i: of a cell
// the same in all charts.
func colourOf(label, value string, i int) int {
	if k := slices.Index(CellNames(), value); label == "cell" && k >= 0 {
		return k
	}
	return i
}

// meanCurve returns the mean of curves at the points that all of them have, and
// the spread if there are several.
func meanCurve(curves []Curve) (mean report.Curve) {
	at := make(map[int][]float64)
	for _, c := range curves {
		for i, x := range c.X {
			at[x] = append(at[x], c.Y[i])
		}
	}
	for x, all := range at {
		if len(all) == len(curves) {
			mean.Steps = append(mean.Steps, x)
		}
	}
	slices.Sort(mean.Steps)
	for _, x := range mean.Steps {
		s := spreadOf(at[x])
		mean.Y = append(mean.Y, s.mean)
		if len(curves) > 1 {
			mean.Low, mean.High = append(mean.Low, s.low), append(mean.High, s.high)
		}
	}
	return mean
}
