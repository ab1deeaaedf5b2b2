package report

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg/recorder"
)

// spreadChart has two curves that are compared, one with a spread, over an axis of
// lengths.
func spreadChart() Chart {
	return Chart{Title: "accuracy", Axis: "length", LogX: true, Curves: []Curve{
		{Name: "one", Kind: Series(0), Steps: []int{16, 64, 256}, Y: []float64{1, 0.8, 0.6}, Low: []float64{0.9, 0.7, 0.1}, High: []float64{1, 0.9, 0.7}},
		{Name: "two", Kind: Series(1), Steps: []int{16, 256}, Y: []float64{0.5, 0.4}},
	}}
}

// TestSpreadIsDrawn around its curve, within the range that it widens.
func TestSpreadIsDrawn(t *testing.T) {
	d := spreadChart().draw()
	if got := d.Curves[0].Band; strings.Count(got, "L") != 5 || !strings.HasSuffix(got, "Z") || d.Curves[1].Band != "" {
		t.Errorf("the spreads are %q and %q", got, d.Curves[1].Band)
	}
	low := d.Curves[0].Low[2]
	if y0, _ := spreadChart().focus(); low < y0 {
		t.Errorf("the picture begins at %g, the spread at %g", y0, low)
	}
	c := spreadChart()
	c.Curves[0].Low[1] = math.NaN()
	if d := c.draw(); d.Curves[0].Low != nil {
		t.Error("half a spread is drawn")
	}
	var canvas recorder.Canvas
	if err := spreadChart().paint(&canvas); err != nil {
		t.Fatal(err)
	}
	fills := 0
	for _, action := range canvas.Actions {
		if f, ok := action.(*recorder.Fill); ok && len(f.Path) == 8 { // to the first, along both edges, and closed
			fills++
		}
	}
	if fills != 1 {
		t.Errorf("%d spreads are painted", fills)
	}
}

// TestLogarithmicAxes have powers of two at even distances.
func TestLogarithmicAxes(t *testing.T) {
	d := spreadChart().draw()
	if got := fmt.Sprint(d.X); got != "[{0 16} {25 32} {50 64} {75 128} {100 256}]" {
		t.Errorf("the marks are %s", got)
	}
	if got := fmt.Sprint(axisTicks(512, 1<<20, 4, true)); got != "[{512 512} {4096 4Ki} {32768 32Ki} {262144 256Ki}]" {
		t.Errorf("the ticks are %s", got)
	}
	if got := axisTicks(100, 300, 4, true); len(got) < 3 {
		t.Errorf("a short axis has the ticks %v", got)
	}
	plain := Chart{Curves: []Curve{{Kind: Main, Steps: []int{0, 10}, Y: []float64{1, 2}}}, LogX: true}
	if d := plain.draw(); len(d.X) < 2 || d.Axis != "step" {
		t.Errorf("an axis from 0 has the marks %v", d.X)
	}
}

// TestSeriesHaveColours of their own, as many as there are.
func TestSeriesHaveColours(t *testing.T) {
	seen := make(map[hue]bool)
	for i := range seriesKinds {
		s, _ := strokeOf(Series(i))
		if seen[s.hue] {
			t.Errorf("curve %d has the colour of another", i)
		}
		seen[s.hue] = true
		if !strings.Contains(style, fmt.Sprintf(".%s {", Series(i))) {
			t.Errorf("the page has no colour for %s", Series(i))
		}
	}
	if Series(seriesKinds) != Series(0) {
		t.Error("colours do not begin again")
	}
}

// TestGridsAreShown with the first cell of a row as its name.
func TestGridsAreShown(t *testing.T) {
	var page strings.Builder
	if err := Write(&page, Run{Kind: "experiment", Name: "n", Grids: []Grid{{Title: "Results", Head: []string{"run", "x"}, Rows: [][]string{{"<a>", "1"}}}}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<title>n – experiment</title>", `<th scope="row">&lt;a&gt;</th><td class="n">1</td>`} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %s", want)
		}
	}
}
