package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Chart is a chart of numbers over the steps of a run, or over another axis of
// whole numbers, either on a page, where it can be enlarged, or as a picture
// (SVG, PNG).
type Chart struct {
	Title  string
	About  string
	Axis   string // what the numbers are over; "step" if empty
	LogX   bool   // a logarithmic axis, of positive numbers
	Wide   bool   // as wide as the page
	Log    bool   // whether a logarithmic scale is offered
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
	// Low and High are the spread around Y at every step, nil for none.
	Low, High []float64
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

// seriesKinds is the number of colours of curves that are compared.
const seriesKinds = 8

// Series returns the kind of curve i of several that are compared, each in a
// colour of its own, of which there are eight.
func Series(i int) Kind { return Kind("s" + strconv.Itoa(i%seriesKinds+1)) }

// series returns the number of the colour of a kind, from 0, and whether it is
// one of Series.
func (k Kind) series() (int, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(string(k), "s"))
	return n - 1, err == nil && strings.HasPrefix(string(k), "s")
}

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
	Axis   string       `json:"axis"`
	LogX   bool         `json:"logx,omitempty"`
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
	Low  []float64 `json:"low,omitempty"`
	High []float64 `json:"high,omitempty"`
	Path string    `json:"-"`
	Band string    `json:"-"` // the path of the spread
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
	d := drawing{Title: c.Title, About: c.About, Axis: cmp.Or(c.Axis, "step"), LogX: c.LogX, Wide: c.Wide, Log: c.Log}
	for _, curve := range c.Curves {
		low, high := curve.spread()
		x, y := finite(curve.Steps, curve.Y)
		if low == nil {
			x, y = thin(x, y, points)
		}
		if len(x) == 0 {
			continue
		}
		_, compared := curve.Kind.series()
		d.Curves = append(d.Curves, drawnCurve{
			Name: curve.Name, Kind: curve.Kind, Dots: len(x) == 1 || (compared || curve.Kind == Other) && len(x) <= 60,
			X: x, Y: y, Low: low, High: high, Last: number(y[len(y)-1]),
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
		for _, y := range slices.Concat(c.Y, c.Low, c.High) {
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
	right := across(x0, x1, d.LogX)
	down := func(y float64) float64 { return (y1 - y) / (y1 - y0) }
	for i := range d.Curves {
		d.Curves[i].trace(right, down)
	}
	for i := range d.Levels {
		d.Levels[i].At = tenth(side * down(d.Levels[i].Y))
	}
	for _, t := range axisTicks(x0, x1, 5, d.LogX) {
		d.X = append(d.X, mark{tenth(100 * right(t.value)), t.label})
	}
	for _, t := range ticks(y0, y1, 5, false) {
		d.Y = append(d.Y, mark{tenth(100 * down(t.value)), t.label})
	}
}

// across returns where a number is on an axis from x0 to x1, from 0 to 1.
func across(x0, x1 float64, logarithmic bool) func(x float64) float64 {
	if logarithmic && x0 > 0 {
		return func(x float64) float64 { return math.Log(x/x0) / math.Log(x1/x0) }
	}
	return func(x float64) float64 { return (x - x0) / (x1 - x0) }
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
	c.Path, c.Spot, c.Band = line.String(), spots.String(), c.band(right, down)
}

// band makes the path around the spread, "" if there is none.
func (c *drawnCurve) band(right, down func(float64) float64) string {
	if len(c.Low) < 2 {
		return ""
	}
	var path strings.Builder
	command := "M"
	put := func(i int, y float64) {
		path.WriteString(command + short(side*right(float64(c.X[i]))) + " " + short(side*down(y)))
		command = "L"
	}
	for i, y := range c.High {
		put(i, y)
	}
	for i := len(c.Low) - 1; i >= 0; i-- {
		put(i, c.Low[i])
	}
	return path.String() + "Z"
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

// spread returns the spread at the steps that are drawn, nil if there is none
// or a part of it is not finite.
func (c Curve) spread() (low, high []float64) {
	if len(c.Low) != len(c.Y) || len(c.High) != len(c.Y) {
		return nil, nil
	}
	for i, y := range c.Y {
		switch {
		case !drawable(y):
		case !drawable(c.Low[i]) || !drawable(c.High[i]):
			return nil, nil
		default:
			low, high = append(low, significant(c.Low[i])), append(high, significant(c.High[i]))
		}
	}
	return low, high
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
