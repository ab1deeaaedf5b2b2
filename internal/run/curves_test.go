package run

import (
	"bytes"
	"encoding/xml"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/recorder"
)

// drawn returns the files that drawCurves writes.
func drawn(t *testing.T, records []Record, baselines ...baseline) (svg, image []byte) {
	t.Helper()
	dir := t.TempDir()
	if err := drawCurves(dir, records, Share{}, baselines...); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(dir, "loss.svg"))
	if err != nil {
		t.Fatal(err)
	}
	image, err = os.ReadFile(filepath.Join(dir, "loss.png"))
	if err != nil {
		t.Fatal(err)
	}
	return svg, image
}

// texts returns the contents of an SVG's text elements.
func texts(t *testing.T, svg []byte) []string {
	t.Helper()
	var all []string
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := token.(xml.CharData); ok && strings.TrimSpace(string(data)) != "" {
			all = append(all, string(data))
		}
	}
}

func TestSameRecordsGiveTheSameFiles(t *testing.T) {
	records := someRecords(100)
	svg1, png1 := drawn(t, records, baseline{"bigram", 2.5})
	svg2, png2 := drawn(t, records, baseline{"bigram", 2.5})
	if !bytes.Equal(svg1, svg2) || !bytes.Equal(png1, png2) {
		t.Error("the files differ")
	}
}

func TestCurvesSayWhatTheyShow(t *testing.T) {
	svg, image := drawn(t, someRecords(3000), baseline{"bigram", 2.5}, baseline{"<unigram> & more", 3.25})
	got := "\n" + strings.Join(texts(t, svg), "\n") + "\n"
	for _, want := range []string{
		"step", "loss (nats per token)", "0", "1,000", "3,000", "training", "training, smoothed", "held out",
		"bigram 2.500", "<unigram> & more 3.250", "best 1.155",
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("no text %q in%s", want, got)
		}
	}
	decoded, err := png.Decode(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if size := decoded.Bounds().Size(); size.X != 1440 || size.Y != 800 {
		t.Errorf("the PNG is %v", size)
	}
}

func TestCurvesOfShortAndBrokenRuns(t *testing.T) {
	broken := someRecords(5)
	broken[1].Loss, broken[4].Loss = math.NaN(), math.Inf(1)
	nan := math.NaN()
	broken[2].Val = &nan
	for name, records := range map[string][]Record{"one step": someRecords(1), "three steps": someRecords(3), "no evaluation": someRecords(2), "not finite": broken} {
		svg, _ := drawn(t, records, baseline{"bigram", math.Inf(1)})
		got := strings.Join(texts(t, svg), "\n")
		if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") || !strings.Contains(got, "training") {
			t.Errorf("%s: the texts are\n%s", name, got)
		}
		if hasBest := strings.Contains(got, "best"); hasBest != (name == "three steps") {
			t.Errorf("%s: a best held-out loss is marked: %v", name, hasBest)
		}
	}
	dir := t.TempDir()
	if err := drawCurves(dir, []Record{{Step: 1, Loss: math.NaN()}}, Share{}); err == nil {
		t.Error("drew a run without a finite loss")
	}
}

func TestCurvesOfALongRunAreSmall(t *testing.T) {
	records := someRecords(20000)
	for i := range records {
		records[i].Loss += 0.1 * math.Sin(float64(i*i))
	}
	if svg, image := drawn(t, records); len(svg) > 100<<10 || len(image) > 500<<10 {
		t.Errorf("%d bytes of SVG, %d of PNG", len(svg), len(image))
	}
}

func TestThinKeepsLowestAndHighest(t *testing.T) {
	var points plotter.XYs
	for i := range 1234 {
		points = append(points, plotter.XY{X: float64(i), Y: math.Sin(float64(i))})
	}
	points[617].Y, points[811].Y = 5, -5
	for _, n := range []int{100, 1233, 1234, 5000} {
		thinned := thin(points, n)
		if len(thinned) > n || n >= len(points) && len(thinned) != len(points) {
			t.Errorf("%d points of at most %d", len(thinned), n)
		}
		low, high := 0.0, 0.0
		for i, p := range thinned {
			if i > 0 && p.X <= thinned[i-1].X {
				t.Fatalf("n = %d: %v follows %v", n, p, thinned[i-1])
			}
			low, high = min(low, p.Y), max(high, p.Y)
		}
		if low != -5 || high != 5 {
			t.Errorf("n = %d: the range is %v to %v", n, low, high)
		}
	}
}

func TestLimits(t *testing.T) {
	records := make([]Record, 200)
	for i := range records {
		records[i] = Record{Step: i + 1, Loss: 2, Smoothed: 2}
	}
	records[0].Loss, records[1].Loss, records[150].Loss = 90, 80, 1
	vals := []float64{50, 1.5, 2.5}
	for i := range vals {
		records[50*i+10].Val = &vals[i]
	}
	for _, test := range []struct {
		baselines []baseline
		low, high float64 // before some room is added
	}{
		{nil, 1, 2.5},
		{[]baseline{{"bigram", 3}, {"oracle", 0.5}}, 0.5, 3},
	} {
		c, err := newChart(records, Share{}, test.baselines)
		if err != nil {
			t.Fatal(err)
		}
		low, high := c.limits()
		room := (test.high - test.low) * 0.05
		if math.Abs(low-test.low+room) > 1e-9 || math.Abs(high-test.high-room) > 1e-9 {
			t.Errorf("%v to %v; want %v to %v and room", low, high, test.low, test.high)
		}
	}
}

func TestLabelsDoNotCoverEachOther(t *testing.T) {
	c, err := newChart(someRecords(30), Share{}, []baseline{{"a", 2.001}, {"b", 3}, {"c", 2.002}, {"d", 2}})
	if err != nil {
		t.Fatal(err)
	}
	var canvas recorder.Canvas
	c.labels().Plot(draw.NewCanvas(&canvas, chartWidth, chartHeight), c.plot())
	last := vg.Length(math.Inf(1))
	names := ""
	for _, action := range canvas.Actions {
		if text, ok := action.(*recorder.FillString); ok {
			names += text.String[:1]
			if text.Point.Y > last-11 {
				t.Errorf("%q is at %v, the one above at %v", text.String, text.Point.Y, last)
			}
			last = text.Point.Y
		}
	}
	if names != "bcadb" { // the last is the best held-out loss
		t.Errorf("the labels are %q from top to bottom", names)
	}
}

func TestTicks(t *testing.T) {
	for _, test := range []struct {
		ticks
		low, high float64
		want      string
	}{
		{ticks{10, true}, 0, 1, "0 1"},
		{ticks{10, true}, 0, 3, "0 1 2 3"},
		{ticks{10, true}, 0, 2000, "0 200 400 600 800 1,000 1,200 1,400 1,600 1,800 2,000"},
		{ticks{4, true}, 0, 2500000, "0 1,000,000 2,000,000"},
		{ticks{8, false}, 1.03, 4.1, "1.5 2.0 2.5 3.0 3.5 4.0"},
		{ticks{8, false}, 1.395, 1.452, "1.40 1.41 1.42 1.43 1.44 1.45"},
		{ticks{8, false}, 0, 0.5, "0.0 0.1 0.2 0.3 0.4 0.5"},
	} {
		var got []string
		for _, mark := range test.Ticks(test.low, test.high) {
			got = append(got, mark.Label)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%v to %v: %q, want %q", test.low, test.high, got, test.want)
		}
	}
}
