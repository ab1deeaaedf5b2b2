package report

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/pkg/errors"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The size of a picture of a chart, in points, and how many points of a curve it
// holds.
const (
	pictureWidth, pictureHeight vg.Length = 720, 400
	picturePoints                         = 1000
)

// SVG writes the chart as a picture, with labels on its axes, a legend and the
// names of its levels. The same chart gives the same bytes. It returns an error
// if the chart has no finite number.
func (c Chart) SVG(w io.Writer) error {
	canvas := vgsvg.New(pictureWidth, pictureHeight)
	if err := c.paint(canvas); err != nil {
		return err
	}
	var image bytes.Buffer
	if _, err := canvas.WriteTo(&image); err != nil {
		return errors.Wrap(err, "writing a chart as SVG")
	}
	// The font is not in the file. Where it is not installed either, these are
	// as wide to the letter.
	_, err := w.Write(bytes.ReplaceAll(image.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")))
	return errors.Wrap(err, "writing a chart as SVG")
}

// PNG writes the picture of SVG as PNG at double resolution.
func (c Chart) PNG(w io.Writer) error {
	canvas := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(pictureWidth, pictureHeight), vgimg.UseDPI(144), vgimg.UseBackgroundColor(color.White))}
	if err := c.paint(canvas); err != nil {
		return err
	}
	_, err := canvas.WriteTo(w)
	return errors.Wrap(err, "writing a chart as PNG")
}

// hue is a colour, 0xRRGGBB.
type hue uint32

// Blue and vermilion are told apart with any kind of colour vision (Okabe and Ito).
const (
	white     hue = 0xffffff
	blue      hue = 0x0072b2
	paleBlue  hue = 0xa9d3ec
	vermilion hue = 0xd55e00
	ink       hue = 0x333333
	grey      hue = 0x666666
	paleGrey  hue = 0xe6e6e6
)

// compared are the colours of curves that are compared (Okabe and Ito).
var compared = [seriesKinds]hue{blue, vermilion, 0x009e73, 0xcc79a7, 0xe69f00, 0x56b4e9, 0x000000, 0x999933}

// RGBA makes a hue a color.Color.
func (h hue) RGBA() (r, g, b, a uint32) {
	return color.RGBA{R: uint8(h >> 16), G: uint8(h >> 8), B: uint8(h), A: 0xff}.RGBA()
}

// stroke is how a line looks.
type stroke struct {
	hue    hue
	width  vg.Length
	dashes []vg.Length
}

// strokeOf returns how a kind of curve looks, and the radius of its dots.
func strokeOf(k Kind) (stroke, vg.Length) {
	if i, ok := k.series(); ok {
		return stroke{hue: compared[i], width: 1.6}, 2.4
	}
	switch k {
	case Noise:
		return stroke{hue: paleBlue, width: 0.8}, 2.2
	case Main:
		return stroke{hue: blue, width: 1.8}, 2.4
	}
	return stroke{hue: vermilion, width: 1.4}, 2.4
}

// faces are the fonts of pictures.
var faces = sync.OnceValue(func() *font.Cache { return font.NewCache(liberation.Collection()) })

func sans(size vg.Length) font.Face {
	return faces().Lookup(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
}

func textWidth(text string, size vg.Length) vg.Length {
	face := sans(size)
	return face.Width(text)
}

// wider is how much wider texts may be than in the font where that is missing.
const wider vg.Length = 1.3

// The sizes of letters: of names, and of numbers and levels.
const nameSize, numberSize vg.Length = 12, 11

// lineName is the name of a horizontal line, written to the right of the
// picture's frame.
type lineName struct {
	y    float64
	text string
	hue  hue
}

// painter paints a chart. Its frame is from the first to the last step, and shows
// numbers from low to high.
type painter struct {
	vg.Canvas
	frame       vg.Rectangle
	first, last float64
	logX        bool
	low, high   float64
}

// paint paints the chart: the curves, the legend above them, and on the right the
// labels of the horizontal lines, so that nothing covers a curve.
func (c Chart) paint(canvas vg.Canvas) error {
	d := c.prepare(picturePoints)
	if len(d.Curves) == 0 {
		return errors.Errorf("none of the numbers of %q is finite", c.Title)
	}
	vg.Initialize(canvas)
	p := painter{Canvas: canvas}
	p.low, p.high = c.focus()
	p.span(d)
	names, room := c.labels(d), p.overhang()+2
	for _, l := range names {
		room = max(room, textWidth(l.text, numberSize)+16)
	}
	rows := ticks(p.low, p.high, 8, false)
	left := vg.Length(0)
	for _, t := range rows {
		left = max(left, textWidth(t.label, numberSize))
	}
	p.frame = vg.Rectangle{Min: vg.Point{X: 12 + nameSize + 8 + left + 4, Y: 48}, Max: vg.Point{X: pictureWidth - room, Y: pictureHeight - 36}}
	p.axes(rows, c.Title, d.Axis)
	for _, l := range d.Levels {
		p.across(p.first, l.Y, stroke{hue: grey, width: 1, dashes: []vg.Length{5, 3}})
	}
	for _, curve := range d.Curves {
		p.band(curve)
	}
	for i, curve := range d.Curves {
		p.curve(curve)
		if x, y, marked := c.lowest(d, i); marked {
			s, _ := strokeOf(curve.Kind)
			p.across(x, y, stroke{hue: s.hue, width: 0.8, dashes: []vg.Length{1.5, 2.5}})
			p.dot(p.at(x, y), 4.5, s.hue)
		}
	}
	p.legend(d.Curves)
	p.names(names)
	return nil
}

// span sets the range of the axis: from 0, or from the first number of a
// logarithmic one.
func (p *painter) span(d drawing) {
	first := math.Inf(1)
	for _, curve := range d.Curves {
		first, p.last = min(first, float64(curve.X[0])), max(p.last, float64(curve.X[len(curve.X)-1]))
	}
	if p.logX = d.LogX && first > 0 && first < p.last; p.logX {
		p.first = first
	}
}

// overhang returns how far the last number of the axis stands out of the frame on the
// right.
func (p painter) overhang() vg.Length {
	const least vg.Length = 14
	marks := axisTicks(p.first, p.last, 10, p.logX)
	last := marks[len(marks)-1]
	if across(p.first, p.last, p.logX)(last.value) < 0.97 {
		return least
	}
	return max(least, textWidth(last.label, numberSize)*wider/2)
}

// lowest returns the lowest point of the curve i of a drawing, and whether it
// is to be marked.
func (c Chart) lowest(d drawing, i int) (x, y float64, marked bool) {
	drawn := d.Curves[i]
	at := slices.IndexFunc(c.Curves, func(given Curve) bool { return given.Name == drawn.Name })
	lowest := slices.Index(drawn.Y, slices.Min(drawn.Y))
	return float64(drawn.X[lowest]), drawn.Y[lowest], c.Curves[at].Lowest
}

// labels returns the names of the levels and of the lowest points, from the top
// to the bottom.
func (c Chart) labels(d drawing) (all []lineName) {
	for _, l := range d.Levels {
		all = append(all, lineName{l.Y, l.Name, grey})
	}
	for i, curve := range d.Curves {
		if _, y, marked := c.lowest(d, i); marked {
			s, _ := strokeOf(curve.Kind)
			all = append(all, lineName{y, fmt.Sprintf("best %.3f", y), s.hue})
		}
	}
	slices.SortStableFunc(all, func(a, b lineName) int { return cmp.Compare(b.y, a.y) })
	return all
}

// focus returns the range of numbers that a picture shows, since its readers
// cannot enlarge it: of noisy curves from the lowest number to what 99 of a
// hundred stay below, so that neither the start nor a stray step presses the
// rest flat; but all levels, and curves of kind Other from their lowest point
// on. Main curves are shown as far as they are in that range, unless there are
// no others.
func (c Chart) focus() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	include := func(all ...float64) {
		for _, y := range all {
			low, high = min(low, y), max(high, y)
		}
	}
	var all []float64
	for _, curve := range c.Curves {
		_, y := finite(curve.Steps, curve.Y)
		all = append(all, y...)
		switch {
		case len(y) == 0:
		case curve.Kind == Noise:
			slices.Sort(y)
			include(y[:(len(y)*99+99)/100]...)
		case curve.Kind == Other:
			include(y[slices.Index(y, slices.Min(y)):]...)
		case curve.Kind != Main:
			low, high := curve.spread()
			include(slices.Concat(y, low, high)...)
		}
	}
	if low > high {
		include(all...)
	}
	for _, l := range c.Levels {
		if drawable(l.Y) {
			include(l.Y)
		}
	}
	return widen(low, high)
}

// at returns the place of a number at a step.
func (p painter) at(x, y float64) vg.Point {
	size := p.frame.Size()
	return vg.Point{
		X: p.frame.Min.X + size.X*vg.Length(across(p.first, p.last, p.logX)(x)),
		Y: p.frame.Min.Y + size.Y*vg.Length((y-p.low)/(p.high-p.low)),
	}
}

// line strokes a line through points.
func (p painter) line(s stroke, points ...vg.Point) {
	var path vg.Path
	for i, at := range points {
		if i == 0 {
			path.Move(at)
		} else {
			path.Line(at)
		}
	}
	p.SetColor(s.hue)
	p.SetLineWidth(s.width)
	p.SetLineDash(s.dashes, 0)
	p.Stroke(path)
}

// across strokes a horizontal line from a step to the last.
func (p painter) across(from, y float64, s stroke) { p.line(s, p.at(from, y), p.at(p.last, y)) }

// dot fills a circle.
func (p painter) dot(at vg.Point, radius vg.Length, h hue) {
	var path vg.Path
	path.Move(vg.Point{X: at.X + radius, Y: at.Y})
	path.Arc(at, radius, 0, 2*math.Pi)
	path.Close()
	p.SetColor(h)
	p.Fill(path)
}

// write writes a text whose digits and capitals have their middle at y, and
// which has the share before of its width to the left of x.
func (p painter) write(x, y vg.Length, before float64, size vg.Length, h hue, text string) {
	const capital = 0.72 // the height of a capital, of the font's size
	face := sans(size)
	p.SetColor(h)
	p.FillString(face, vg.Point{X: x - face.Width(text)*vg.Length(before), Y: y - size*capital/2}, text)
}

// axes paints the grid, the axis of the steps and what the axes are called.
func (p painter) axes(rows []tick, title, axis string) {
	p.SetColor(white)
	var all vg.Path
	all.Move(vg.Point{})
	all.Line(vg.Point{X: pictureWidth})
	all.Line(vg.Point{X: pictureWidth, Y: pictureHeight})
	all.Line(vg.Point{Y: pictureHeight})
	all.Close()
	p.Fill(all)
	grid, edge := stroke{hue: paleGrey, width: 0.6}, stroke{hue: grey, width: 0.8}
	for _, t := range rows {
		at := p.at(p.first, t.value)
		p.across(p.first, t.value, grid)
		p.write(at.X-4, at.Y, 1, numberSize, ink, t.label)
	}
	for _, t := range axisTicks(p.first, p.last, 10, p.logX) {
		bottom := p.at(t.value, p.low)
		p.line(grid, bottom, p.at(t.value, p.high))
		p.line(edge, bottom, vg.Point{X: bottom.X, Y: bottom.Y - 4})
		p.write(bottom.X, bottom.Y-12, 0.5, numberSize, ink, t.label)
	}
	p.across(p.first, p.low, edge)
	p.write((p.frame.Min.X+p.frame.Max.X)/2, 16, 0.5, nameSize, ink, axis)
	middle, size := uprightTitle(title, p.frame)
	p.Push()
	p.Translate(vg.Point{X: 18, Y: middle})
	p.Rotate(math.Pi / 2)
	p.write(0, 0, 0.5, size, ink, title)
	p.Pop()
}

// uprightTitle returns the height of the middle of a title beside a frame, and the
// size of its letters: a long one has all of the picture's height, and is smaller if
// that is not enough.
func uprightTitle(title string, frame vg.Rectangle) (middle, size vg.Length) {
	const margin vg.Length = 4
	width := textWidth(title, nameSize) * wider
	if width <= frame.Size().Y {
		return (frame.Min.Y + frame.Max.Y) / 2, nameSize
	}
	return pictureHeight / 2, min(nameSize, nameSize*(pictureHeight-2*margin)/width)
}

// band paints the spread of a curve, as far as it is within the frame.
func (p painter) band(c drawnCurve) {
	if len(c.Low) < 2 {
		return
	}
	put := func(i int, y float64) vg.Point { return p.at(float64(c.X[i]), max(p.low, min(y, p.high))) }
	var path vg.Path
	path.Move(put(0, c.High[0]))
	for i, y := range c.High {
		path.Line(put(i, y))
	}
	for i := len(c.Low) - 1; i >= 0; i-- {
		path.Line(put(i, c.Low[i]))
	}
	path.Close()
	s, _ := strokeOf(c.Kind)
	r, g, b, _ := s.hue.RGBA()
	p.SetColor(color.NRGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 0x30})
	p.Fill(path)
}

// curve paints a curve as far as it is within the frame, its line in pieces:
// the time to paint a line grows with the square of its length.
func (p painter) curve(c drawnCurve) {
	const longest = 100
	s, radius := strokeOf(c.Kind)
	var piece []vg.Point
	flush := func() {
		if len(piece) > 1 {
			p.line(s, piece...)
		}
		piece = nil
	}
	for i := 1; i < len(c.X); i++ {
		x0, y0, x1, y1, visible := within(float64(c.X[i-1]), c.Y[i-1], float64(c.X[i]), c.Y[i], p.low, p.high)
		if !visible || y0 != c.Y[i-1] || len(piece) > longest {
			flush()
		}
		if !visible {
			continue
		}
		if piece == nil {
			piece = []vg.Point{p.at(x0, y0)}
		}
		piece = append(piece, p.at(x1, y1))
		if y1 != c.Y[i] {
			flush()
		}
	}
	flush()
	for i, x := range c.X {
		if c.Dots && c.Y[i] >= p.low && c.Y[i] <= p.high {
			p.dot(p.at(float64(x), c.Y[i]), radius, s.hue)
		}
	}
}

// within returns the part of a line between two points that is between low and
// high, and whether there is one.
func within(x0, y0, x1, y1, low, high float64) (a, b, c, d float64, visible bool) {
	if max(y0, y1) < low || min(y0, y1) > high {
		return 0, 0, 0, 0, false
	}
	cut := func(x, y float64) (float64, float64) {
		bound := max(low, min(y, high))
		if bound == y {
			return x, y
		}
		return x0 + (x1-x0)*(bound-y0)/(y1-y0), bound
	}
	a, b = cut(x0, y0)
	c, d = cut(x1, y1)
	return a, b, c, d, true
}

// legend paints samples of the curves and their names in a row.
func (p painter) legend(curves []drawnCurve) {
	x, y := p.frame.Min.X, pictureHeight-20
	for _, c := range curves {
		const sample = 22
		s, radius := strokeOf(c.Kind)
		p.line(s, vg.Point{X: x, Y: y}, vg.Point{X: x + sample, Y: y})
		if c.Dots {
			p.dot(vg.Point{X: x + sample/2, Y: y}, radius, s.hue)
		}
		x += sample + 6
		p.write(x, y, 0, nameSize, ink, c.Name)
		x += textWidth(c.Name, nameSize) + 24
	}
}

// names writes labels at the heights of their lines, or lower where they would
// cover the one above.
func (p painter) names(all []lineName) {
	free := vg.Length(math.Inf(1))
	for _, l := range all {
		y := min(p.at(p.first, l.y).Y, free)
		p.write(p.frame.Max.X+8, y, 0, numberSize, l.hue, l.text)
		free = y - 1.15*numberSize
	}
}
