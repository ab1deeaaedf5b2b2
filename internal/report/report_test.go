package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func written(t *testing.T, r Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var (
	scripts = regexp.MustCompile(`(?s)<script[^>]*>(.*?)</script>`)
	styles  = regexp.MustCompile(`(?s)<style>.*?</style>`)
)

// checkHTML reports elements that are not closed, or not in their order, and
// whatever would make a browser fetch something.
func checkHTML(t *testing.T, page string) {
	t.Helper()
	for _, outside := range []string{"http:", "https:", "src=", "url(", "@import", "fetch("} {
		if strings.Contains(page, outside) {
			t.Errorf("the page holds %q", outside)
		}
	}
	void := []string{"meta", "link", "wbr", "br", "path"}
	d := xml.NewDecoder(strings.NewReader(styles.ReplaceAllString(scripts.ReplaceAllString(page, ""), "")))
	d.Strict, d.Entity = false, xml.HTMLEntity
	var open []string
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the page is no HTML: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if !slices.Contains(void, e.Name.Local) {
				open = append(open, e.Name.Local)
			}
		case xml.EndElement:
			if slices.Contains(void, e.Name.Local) {
				continue
			}
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("</%s> within %v", e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("%v are not closed", open)
	}
}

const hostile = `</script></pre>"'><script>alert(1)</script><img src=x onerror=alert(2)>{{.}}`

func full(text string) Run {
	return Run{
		Name: text, State: text, About: text, Notes: []string{text},
		Figures: []Figure{{text, text, text}},
		Charts: []Chart{{Title: text, About: text, Log: true, Wide: true,
			Curves: []Curve{{Name: text, Kind: Main, Steps: []int{1, 2, 3}, Y: []float64{3, math.NaN(), 1}}, {Name: text, Kind: Other, Steps: []int{2}, Y: []float64{2}}},
			Levels: []Level{{text, 2.5}, {"none", math.NaN()}}}},
		Samples: []Sample{{text, text}}, Parts: []Part{{text, 10, 20}}, Memory: []Amount{{text, 1 << 30}}, MemoryNote: text,
		Starts: []Table{{text, []Row{{text, text}}}}, Settings: []Table{{text, []Row{{text, text}}}},
		Graph: []byte(`<svg viewBox="0 0 1 1"><title>graph</title></svg>`),
	}
}

func TestTextIsEscaped(t *testing.T) {
	page := written(t, full(hostile))
	for _, bad := range []string{"<script>alert", "<img", hostile} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if n := strings.Count(page, "<script"); n != 2 {
		t.Errorf("%d scripts, want the data and the page's own", n)
	}
	checkHTML(t, strings.ReplaceAll(page, "src=x", "")) // of the text
	if !strings.Contains(page, "<title>graph</title>") {
		t.Error("the graph is not there as it was given")
	}
	var charts []drawing
	if err := json.Unmarshal([]byte(scripts.FindStringSubmatch(page)[1]), &charts); err != nil {
		t.Fatalf("the data cannot be read: %v", err)
	}
	if len(charts) != 1 || charts[0].Title != hostile || !slices.Equal(charts[0].Curves[0].Y, []float64{3, 1}) || len(charts[0].Levels) != 1 {
		t.Errorf("the data is %+v", charts)
	}
	if page != written(t, full(hostile)) {
		t.Error("the same run gives two pages")
	}
}

func TestEmptyPartsAreLeftOut(t *testing.T) {
	page := written(t, Run{Name: "run", State: "Nothing yet.", Charts: []Chart{{Title: "Loss", Curves: []Curve{{Steps: []int{1}, Y: []float64{math.Inf(1)}}}}}})
	checkHTML(t, page)
	if body := page[strings.Index(page, "<body>"):]; strings.Contains(body, "<section") || strings.Contains(body, "<script") {
		t.Errorf("an empty run has sections:\n%s", body)
	}
}

func TestThinKeepsExtremes(t *testing.T) {
	n := 50 * maxPoints
	x, y := make([]int, n), make([]float64, n)
	for i := range x {
		x[i], y[i] = i+1, math.Sin(float64(i))
	}
	y[n/3], y[n/2] = 100, -100
	gotX, gotY := thin(x, y, maxPoints)
	if len(gotX) > maxPoints || len(gotX) != len(gotY) || gotX[0] != 1 || gotX[len(gotX)-1] != n || !slices.IsSorted(gotX) {
		t.Errorf("%d points from %d to %d", len(gotX), gotX[0], gotX[len(gotX)-1])
	}
	if slices.Max(gotY) != 100 || slices.Min(gotY) != -100 {
		t.Errorf("from %g to %g", slices.Min(gotY), slices.Max(gotY))
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		whole     bool
		want      string
	}{
		{1, 400, true, "100 200 300 400"},
		{1, 3, true, "1 2 3"},
		{0, 2, true, "0 1 2"},
		{1, 100000, true, "20k 40k 60k 80k 100k"},
		{1, 3e6, true, "1M 2M 3M"},
		{1.36, 5.02, false, "2 3 4 5"},
		{0, 0.00082, false, "0 0.0002 0.0004 0.0006 0.0008"},
		{0, 0.000021, false, "0 5e-06 1.0e-05 1.5e-05 2.0e-05"},
		{-1, 1, false, "-1.0 -0.5 0 0.5 1.0"},
	} {
		var got []string
		for _, tick := range ticks(c.low, c.high, 5, c.whole) {
			got = append(got, tick.label)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("from %g to %g: %s, want %s", c.low, c.high, s, c.want)
		}
	}
}

// TestFlatChart: a curve that does not move, or has one point, has a place.
func TestFlatChart(t *testing.T) {
	for _, y := range [][]float64{{2}, {0, 0}, {-3, -3, -3}} {
		d := Chart{Curves: []Curve{{Kind: Main, Steps: []int{5, 6, 7}[:len(y)], Y: y}}}.draw()
		if len(d.X) == 0 || strings.Contains(d.Curves[0].Path, "NaN") || strings.Contains(d.Curves[0].Path, "Inf") {
			t.Errorf("%v is drawn as %s with marks %v", y, d.Curves[0].Path, d.X)
		}
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		number(0.000123456): "0.0001235", number(12345.6): "12,346",
		strings.Join(pieces("a_b.c"), "|"): "a_|b.|c",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestShareOfNothingIsNone(t *testing.T) {
	if got := share(0, 0); got != "0.0 %" || width(0, 0) != 0 {
		t.Errorf("0 of 0 is %q, %v wide", got, width(0, 0))
	}
	if got := share(1, 8); got != "12.5 %" || width(1, 8) != 12.5 {
		t.Errorf("1 of 8 is %q, %v wide", got, width(1, 8))
	}
}

// TestLabelsAtTheEndsOfAnAxis stand within the card: they are not centred.
func TestLabelsAtTheEndsOfAnAxis(t *testing.T) {
	page := written(t, Run{Charts: []Chart{{Title: "loss", Curves: []Curve{{Name: "a", Kind: Main, Steps: []int{0, 500, 1000}, Y: []float64{1, 2, 3}}}}}})
	for _, want := range []string{`<span class="first" style="left:0%">0</span>`, `<span style="left:60%">600</span>`, `<span class="last" style="left:100%">1,000</span>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page is without %s, in %v", want, regexp.MustCompile(`<div class="x".*`).FindString(page))
		}
	}
}

// TestGraphFollowsDarkMode: its colours are turned round, and its white background
// is left out.
func TestGraphFollowsDarkMode(t *testing.T) {
	page := written(t, full("graph"))
	for _, want := range []string{
		"@media screen and (prefers-color-scheme: dark) {\n  .graph svg { filter: invert(", ".graph svg > path:first-child { fill: none; }",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the style is without %q", want)
		}
	}
}
