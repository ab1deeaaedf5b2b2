package report

import (
	"math"
	"strconv"
	"strings"
)

// Chart is a chart of numbers over the steps of a run, either on a page, where
// it can be enlarged, or as a picture (SVG, PNG).
type Chart struct {
	Title  string
	About  string
	Wide   bool // as wide as the page
	Log    bool // whether a logarithmic scale is offered
	Curves []Curve
	Levels []Level
}

// Curve is a series of numbers by ascending step. Numbers that are not finite
// are not drawn.
type Curve struct {
	Name   string
	Kind   Kind
	Lowest bool // whether a picture marks its lowest point
	Steps  []int
	Y      []float64
}

// Kind is the style of a curve.
type Kind string

// The kinds: a noisy curve in the background, the main curve, and a curve of
// another colour.
const (
	Noise Kind = "noise"
	Main  Kind = "main"
	Other Kind = "other"
)

// Level is a horizontal line for comparison with a chart's curves.
type Level struct {
	Name string
	Y    float64
}

// maxPoints is how many points of a curve a report holds.
const maxPoints = 2000

// side is the length of both sides of the square that a chart is drawn in; the
// page stretches it.
const side = 1000

// drawing is a chart as the page shows it and its script reads it.
type drawing struct {
	Title  string       `json:"title"`
	About  string       `json:"-"`
	Wide   bool         `json:"-"`
	Log    bool         `json:"log"`
	Curves []drawnCurve `json:"curves"`
	Levels []drawnLevel `json:"levels"`
	X      []mark       `json:"-"`
	Y      []mark       `json:"-"`
}

type drawnCurve struct {
	Name string    `json:"name"`
	Kind Kind      `json:"kind"`
	Dots bool      `json:"dots"`
	X    []int     `json:"x"`
	Y    []float64 `json:"y"`
	Path string    `json:"-"`
	Spot string    `json:"-"` // the path of the dots
	Last string    `json:"-"`
}

type drawnLevel struct {
	Name string  `json:"name"`
	Y    float64 `json:"y"`
	At   float64 `json:"-"` // in the square
}

// mark is a place on an axis, in percent from the left or the top.
type mark struct {
	At    float64
	Label string
}

// Edge is the class of a label at an end of the axis below a chart, which would
// stand out of the card if it were centred.
func (m mark) Edge() string {
	switch {
	case m.At < 7:
		return "first"
	case m.At > 93:
		return "last"
	}
	return ""
}

// draw lays a chart out for a page. It has no curves if none has a finite number.
func (c Chart) draw() drawing {
	d := c.prepare(maxPoints)
	if len(d.Curves) > 0 {
		d.place()
	}
	return d
}

// prepare chooses what is drawn of a chart, of a curve at most so many points.
// There are no curves if none has a finite number.
func (c Chart) prepare(points int) drawing {
	d := drawing{Title: c.Title, About: c.About, Wide: c.Wide, Log: c.Log}
	for _, curve := range c.Curves {
		x, y := finite(curve.Steps, curve.Y)
		x, y = thin(x, y, points)
		if len(x) == 0 {
			continue
		}
		d.Curves = append(d.Curves, drawnCurve{
			Name: curve.Name, Kind: curve.Kind, Dots: len(x) == 1 || curve.Kind == Other && len(x) <= 60,
			X: x, Y: y, Last: number(y[len(y)-1]),
		})
	}
	if len(d.Curves) == 0 {
		return d
	}
	for _, l := range c.Levels {
		if drawable(l.Y) {
			d.Levels = append(d.Levels, drawnLevel{Name: l.Name, Y: significant(l.Y)})
		}
	}
	return d
}

// place computes the ranges of the axes, their marks and the paths. The page's
// script does the same when a reader enlarges a part.
func (d *drawing) place() {
	x0, x1, y0, y1 := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, c := range d.Curves {
		x0, x1 = min(x0, float64(c.X[0])), max(x1, float64(c.X[len(c.X)-1]))
		for _, y := range c.Y {
			y0, y1 = min(y0, y), max(y1, y)
		}
	}
	for _, l := range d.Levels {
		y0, y1 = min(y0, l.Y), max(y1, l.Y)
	}
	if x0 == x1 {
		x0, x1 = x0-1, x1+1
	}
	y0, y1 = widen(y0, y1)
	right := func(x float64) float64 { return (x - x0) / (x1 - x0) }
	down := func(y float64) float64 { return (y1 - y) / (y1 - y0) }
	for i := range d.Curves {
		d.Curves[i].trace(right, down)
	}
	for i := range d.Levels {
		d.Levels[i].At = tenth(side * down(d.Levels[i].Y))
	}
	for _, t := range ticks(x0, x1, 5, true) {
		d.X = append(d.X, mark{tenth(100 * right(t.value)), t.label})
	}
	for _, t := range ticks(y0, y1, 5, false) {
		d.Y = append(d.Y, mark{tenth(100 * down(t.value)), t.label})
	}
}

// widen leaves some room around a range, but none below zero for numbers that
// are not negative.
func widen(low, high float64) (float64, float64) {
	room := (high - low) * 0.05
	if room == 0 {
		room = max(math.Abs(high)*0.05, 1e-9)
	}
	if low >= 0 {
		return max(low-room, 0), high + room
	}
	return low - room, high + room
}

// trace makes the curve's SVG path, and that of its dots: lines without length,
// which round ends make visible and which stay round however the square is
// stretched.
func (c *drawnCurve) trace(right, down func(float64) float64) {
	var line, spots strings.Builder
	command := "M"
	for i, x := range c.X {
		at := short(side*right(float64(x))) + " " + short(side*down(c.Y[i]))
		line.WriteString(command + at)
		command = "L"
		if c.Dots {
			spots.WriteString("M" + at + "h0")
		}
	}
	c.Path, c.Spot = line.String(), spots.String()
}

// tenth rounds to one decimal, and to 0 rather than -0.
func tenth(x float64) float64 { return math.Round(10*x)/10 + 0 }

func short(x float64) string { return strconv.FormatFloat(tenth(x), 'f', -1, 64) }

// drawable is whether a number is finite, and a range around it too.
func drawable(y float64) bool { return math.Abs(y) < 1e300 }

// finite leaves out the numbers that are not drawn.
func finite(steps []int, y []float64) (keptSteps []int, kept []float64) {
	for i, v := range y {
		if drawable(v) {
			keptSteps, kept = append(keptSteps, steps[i]), append(kept, significant(v))
		}
	}
	return keptSteps, kept
}

// significant rounds to the six digits that a report keeps.
func significant(x float64) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 6, 64), 64) // what was just written
	return rounded
}

// thin returns at most count of the points of a curve: the first, the last, and
// of every stretch between the lowest and the highest, which keeps the look of
// a noisy curve.
func thin(x []int, y []float64, count int) ([]int, []float64) {
	n := len(x)
	if n <= count {
		return x, y
	}
	keptX, keptY := []int{x[0]}, []float64{y[0]}
	keep := func(i int) { keptX, keptY = append(keptX, x[i]), append(keptY, y[i]) }
	stretches := count/2 - 1
	for s := range stretches {
		from, to := 1+s*(n-2)/stretches, 1+(s+1)*(n-2)/stretches
		low, high := from, from
		for i := from; i < to; i++ {
			if y[i] < y[low] {
				low = i
			}
			if y[i] > y[high] {
				high = i
			}
		}
		keep(min(low, high))
		if low != high {
			keep(max(low, high))
		}
	}
	keep(n - 1)
	return keptX, keptY
}
