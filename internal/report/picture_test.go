package report

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/recorder"
)

// falling is a noisy curve of so many steps that falls.
func falling(n int) Chart {
	c := Chart{Title: "falling", Curves: []Curve{{Name: "noise", Kind: Noise}, {Name: "other", Kind: Other, Lowest: true}}}
	for i := range n {
		c.Curves[0].Steps, c.Curves[0].Y = append(c.Curves[0].Steps, i+1), append(c.Curves[0].Y, 3-float64(i)/float64(n))
		if i%10 == 9 {
			c.Curves[1].Steps, c.Curves[1].Y = append(c.Curves[1].Steps, i+1), append(c.Curves[1].Y, 2.2)
		}
	}
	return c
}

// TestPicturesFocus on what most steps are like, on levels, and on the end of
// curves that fall.
func TestPicturesFocus(t *testing.T) {
	c := Chart{Curves: []Curve{{Kind: Noise}, {Kind: Main, Steps: []int{1}, Y: []float64{70}}, {Kind: Other, Steps: []int{11, 61, 111}, Y: []float64{50, 1.5, 2.5}}}}
	for i := range 200 {
		c.Curves[0].Steps, c.Curves[0].Y = append(c.Curves[0].Steps, i+1), append(c.Curves[0].Y, 2)
	}
	c.Curves[0].Y[0], c.Curves[0].Y[1], c.Curves[0].Y[150] = 90, 80, 1
	for _, test := range []struct {
		levels    []Level
		low, high float64 // before some room is added
	}{
		{nil, 1, 2.5},
		{[]Level{{"bigram", 3}, {"oracle", 0.5}, {"none", math.NaN()}}, 0.5, 3},
	} {
		c.Levels = test.levels
		low, high := c.focus()
		room := (test.high - test.low) * 0.05
		if math.Abs(low-test.low+room) > 1e-9 || math.Abs(high-test.high-room) > 1e-9 {
			t.Errorf("%v to %v; want %v to %v and room", low, high, test.low, test.high)
		}
	}
	alone := Chart{Curves: []Curve{{Kind: Main, Steps: []int{1, 2}, Y: []float64{10, 20}}}}
	if low, high := alone.focus(); low != 9.5 || high != 20.5 {
		t.Errorf("a main curve alone is shown from %v to %v", low, high)
	}
}

// TestNothingIsPaintedOutsideTheFrame, however far a curve goes.
func TestNothingIsPaintedOutsideTheFrame(t *testing.T) {
	c := falling(300)
	c.Curves[0].Y[0], c.Curves[0].Y[1], c.Curves[0].Y[200] = 1e6, 2e6, 5e5
	var canvas recorder.Canvas
	if err := c.paint(&canvas); err != nil {
		t.Fatal(err)
	}
	strokes := 0
	for _, action := range canvas.Actions {
		s, ok := action.(*recorder.Stroke)
		if !ok {
			continue
		}
		strokes++
		for _, part := range s.Path {
			if at := part.Pos; !(at.X >= 0 && at.X <= pictureWidth && at.Y >= 0 && at.Y <= pictureHeight) {
				t.Fatalf("a line goes to %v", at)
			}
		}
	}
	if strokes < 20 {
		t.Errorf("%d lines", strokes)
	}
}

// TestNamesDoNotCoverEachOther, and are in the order of their lines.
func TestNamesDoNotCoverEachOther(t *testing.T) {
	c := falling(30)
	c.Levels = []Level{{"a", 2.001}, {"b", 3}, {"c", 2.002}, {"d", 2}}
	var canvas recorder.Canvas
	d := c.prepare(picturePoints)
	p := painter{Canvas: &canvas, frame: vg.Rectangle{Max: vg.Point{X: 500, Y: 300}}, last: 30, low: 1.5, high: 3.5}
	p.names(c.labels(d))
	last := vg.Length(math.Inf(1))
	names := ""
	for _, action := range canvas.Actions {
		if text, ok := action.(*recorder.FillString); ok {
			names += text.String[:1] + " "
			if text.Point.Y > last-11 {
				t.Errorf("%q is at %v, the one above at %v", text.String, text.Point.Y, last)
			}
			last = text.Point.Y
		}
	}
	if names != "b b c a d " { // the second is the best of the curve
		t.Errorf("the names are %q from top to bottom", names)
	}
}

// TestPicturesEscapeText, and are the same each time.
func TestPicturesEscapeText(t *testing.T) {
	c := falling(20)
	c.Curves[0].Name = `<i>&"`
	var svg, again, png bytes.Buffer
	if err := c.SVG(&svg); err != nil {
		t.Fatal(err)
	}
	if err := c.SVG(&again); err != nil || !bytes.Equal(svg.Bytes(), again.Bytes()) {
		t.Errorf("the same chart gives two pictures: %v", err)
	}
	if err := c.PNG(&png); err != nil || !bytes.HasPrefix(png.Bytes(), []byte("\x89PNG")) {
		t.Errorf("no PNG: %v", err)
	}
	if strings.Contains(svg.String(), "<i>") || !strings.Contains(svg.String(), "&lt;i&gt;") {
		t.Error("the name is not escaped")
	}
	if err := (Chart{Title: "empty", Curves: []Curve{{Steps: []int{1}, Y: []float64{math.NaN()}}}}).SVG(&svg); err == nil {
		t.Error("a chart of nothing is painted")
	}
}

// TestTitlesAreWithinThePicture, however long they are, and in a wider font too.
func TestTitlesAreWithinThePicture(t *testing.T) {
	frame := vg.Rectangle{Min: vg.Point{Y: 48}, Max: vg.Point{Y: pictureHeight - 36}}
	for _, title := range []string{"loss", strings.Repeat("accuracy ", 6), strings.Repeat("accuracy in training ", 9)} {
		middle, size := uprightTitle(title, frame)
		half := textWidth(title, size) * 1.29 / 2
		if middle-half < 0 || middle+half > pictureHeight || size > nameSize {
			t.Errorf("%q of size %v is from %v to %v", title, size, middle-half, middle+half)
		}
		if within := textWidth(title, nameSize)*1.3 <= frame.Size().Y; within != (middle == (frame.Min.Y+frame.Max.Y)/2) {
			t.Errorf("the middle of %q is at %v", title, middle)
		}
	}
}
