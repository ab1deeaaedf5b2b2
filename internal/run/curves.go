package run

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// baseline is a loss to compare with.
type baseline struct {
	name string
	loss float64
}

// drawCurves draws how the losses fell, to loss.svg and loss.png in a folder.
// The held-out ones are of the given share. The same records give the same files.
func drawCurves(dir string, records []Record, heldOut Share, baselines ...baseline) error {
	c, err := newChart(records, heldOut, baselines)
	if err != nil {
		return errors.Wrap(err, "drawing the loss curves")
	}
	if err := files.WriteFile(filepath.Join(dir, "loss.svg"), c.svg); err != nil {
		return errors.Wrap(err, "drawing the loss curves")
	}
	return errors.Wrap(files.WriteFile(filepath.Join(dir, "loss.png"), c.png), "drawing the loss curves")
}

// chart is what is drawn: the points that are finite, not yet thinned.
type chart struct {
	loss, smoothed, held plotter.XYs
	best                 int // index of the lowest point of held
	share                Share
	baselines            []baseline
}

func newChart(records []Record, heldOut Share, baselines []baseline) (*chart, error) {
	c := &chart{share: heldOut}
	for _, r := range records {
		c.loss = appendFinite(c.loss, r.Step, r.Loss)
		c.smoothed = appendFinite(c.smoothed, r.Step, r.Smoothed)
		if r.Val != nil {
			c.held = appendFinite(c.held, r.Step, *r.Val)
		}
	}
	if len(c.loss) == 0 {
		return nil, errors.Errorf("none of the %d steps has a finite loss", len(records))
	}
	for i, p := range c.held {
		if p.Y < c.held[c.best].Y {
			c.best = i
		}
	}
	for _, b := range baselines {
		if numbers.Finite(b.loss) {
			c.baselines = append(c.baselines, b)
		}
	}
	return c, nil
}

func appendFinite(points plotter.XYs, step int, loss float64) plotter.XYs {
	if !numbers.Finite(loss) {
		return points
	}
	return append(points, plotter.XY{X: float64(step), Y: loss})
}

// The chart's size in points.
const chartWidth, chartHeight vg.Length = 720, 400

func (c *chart) svg(w io.Writer) error {
	canvas := vgsvg.New(chartWidth, chartHeight)
	c.draw(draw.New(canvas))
	var image bytes.Buffer
	if _, err := canvas.WriteTo(&image); err != nil {
		return err
	}
	// The font is not in the file. Where it is not installed either, these are
	// as wide to the letter.
	_, err := w.Write(bytes.ReplaceAll(image.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")))
	return err
}

func (c *chart) png(w io.Writer) error {
	canvas := vgimg.NewWith(vgimg.UseWH(chartWidth, chartHeight), vgimg.UseDPI(144))
	c.draw(draw.New(canvas))
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(w)
	return err
}

// hue is a colour, 0xRRGGBB.
type hue uint32

// Blue and vermilion are told apart with any kind of colour vision (Okabe and Ito).
const (
	blue      hue = 0x0072b2
	paleBlue  hue = 0xa9d3ec
	vermilion hue = 0xd55e00
	ink       hue = 0x333333
	grey      hue = 0x666666
	paleGrey  hue = 0xe6e6e6
)

// RGBA makes a hue a color.Color.
func (h hue) RGBA() (r, g, b, a uint32) {
	return color.RGBA{R: uint8(h >> 16), G: uint8(h >> 8), B: uint8(h), A: 0xff}.RGBA()
}

// curve is one of the lines, with dots on its points if its dot has a shape.
type curve struct {
	name   string
	points plotter.XYs
	line   draw.LineStyle
	dot    draw.GlyphStyle
}

// curves returns what there is to draw, the lowest layer first.
func (c *chart) curves() []curve {
	dots := func(points plotter.XYs, h hue, radius vg.Length) draw.GlyphStyle {
		if len(points) > 60 {
			return draw.GlyphStyle{} // they would run together
		}
		return draw.GlyphStyle{Color: h, Radius: radius, Shape: draw.CircleGlyph{}}
	}
	all := []curve{
		{"training", c.loss, draw.LineStyle{Color: paleBlue, Width: 0.8}, dots(c.loss, paleBlue, 2.2)},
		{"training, smoothed", c.smoothed, draw.LineStyle{Color: blue, Width: 1.8}, draw.GlyphStyle{}},
		{c.share.name("held out"), c.held, draw.LineStyle{Color: vermilion, Width: 1.4}, dots(c.held, vermilion, 2.4)},
	}
	return slices.DeleteFunc(all, func(c curve) bool {
		return len(c.points) == 0 || len(c.points) == 1 && c.dot.Shape == nil // nothing to be seen
	})
}

// addTo adds the curve to a plot, its line in pieces: the time to paint a line
// grows with the square of its length.
func (c curve) addTo(p *plot.Plot) {
	const maxPoints, piece = 1000, 100
	points := thin(c.points, maxPoints)
	for from := 0; from < len(points); from += piece {
		p.Add(&plotter.Line{XYs: points[from:min(from+piece+1, len(points))], LineStyle: c.line})
	}
	if c.dot.Shape != nil {
		p.Add(&plotter.Scatter{XYs: c.points, GlyphStyle: c.dot})
	}
}

// draw draws the chart: the curves, the legend above them, and on the right the
// labels of the horizontal lines, so that nothing covers a curve.
func (c *chart) draw(canvas draw.Canvas) {
	canvas.SetColor(color.White)
	canvas.Fill(canvas.Rectangle.Path())
	labels := c.labels()
	p := c.plot()
	p.Add(labels)
	area := draw.Crop(canvas, 12, -labels.width()-16, 10, -36)
	p.Draw(area)
	c.legend(canvas, p.DataCanvas(area).Min.X, canvas.Max.Y-20)
}

// plot returns the plot without labels and legend.
func (c *chart) plot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	last := c.loss[len(c.loss)-1].X
	line := draw.LineStyle{Color: paleGrey, Width: 0.6}
	p.Add(&plotter.Grid{Vertical: line, Horizontal: line})
	for _, b := range c.baselines {
		p.Add(across(0, last, b.loss, draw.LineStyle{Color: grey, Width: 1, Dashes: []vg.Length{5, 3}}))
	}
	for _, curve := range c.curves() {
		curve.addTo(p)
	}
	if len(c.held) > 0 {
		best := c.held[c.best]
		p.Add(across(best.X, last, best.Y, draw.LineStyle{Color: vermilion, Width: 0.8, Dashes: []vg.Length{1.5, 2.5}}))
		p.Add(&plotter.Scatter{XYs: plotter.XYs{best}, GlyphStyle: draw.GlyphStyle{Color: vermilion, Radius: 4.5, Shape: draw.CircleGlyph{}}})
	}
	styleAxes(p)
	// Set last: adding to a plot widens its limits.
	p.X.Min, p.X.Max = 0, last
	p.Y.Min, p.Y.Max = c.limits()
	return p
}

func styleAxes(p *plot.Plot) {
	p.X.Label.Text, p.Y.Label.Text = "step", "loss (nats per token)"
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{10, true}, ticks{8, false}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle = sans(axis.Label.TextStyle, 12, ink)
		axis.Label.Padding = 6
		axis.LineStyle = draw.LineStyle{Color: grey, Width: 0.8}
		axis.Padding = 0
		axis.Tick.Label = sans(axis.Tick.Label, 11, ink)
		axis.Tick.LineStyle = axis.LineStyle
		axis.Tick.Length = 4
	}
	p.Y.Width, p.Y.Tick.Length = 0, 0 // the grid is enough
}

// across is a horizontal line.
func across(from, to, y float64, style draw.LineStyle) *plotter.Line {
	return &plotter.Line{XYs: plotter.XYs{{X: from, Y: y}, {X: to, Y: y}}, LineStyle: style}
}

// sans returns a style with another font, size and colour.
func sans(s draw.TextStyle, size vg.Length, h hue) draw.TextStyle {
	s.Font.Variant, s.Font.Size, s.Color = "Sans", size, h
	return s
}

// limits returns the range of losses to show: from the lowest to what 99 of a
// hundred steps stay below, so that neither the start nor a stray step presses
// the rest flat; but always the baselines, and the held-out losses from the
// best one on.
func (c *chart) limits() (low, high float64) {
	var losses []float64
	for _, p := range c.loss {
		losses = append(losses, p.Y)
	}
	slices.Sort(losses)
	low, high = losses[0], losses[(len(losses)*99+99)/100-1]
	include := func(y float64) { low, high = min(low, y), max(high, y) }
	for _, p := range c.held[c.best:] {
		include(p.Y)
	}
	for _, b := range c.baselines {
		include(b.loss)
	}
	room := (high - low) * 0.05
	if room == 0 {
		room = 0.5
	}
	return max(low-room, 0), high + room
}

// thin returns at most n of the points: of every stretch the lowest and the
// highest, which keeps the look of a noisy curve.
func thin(points plotter.XYs, n int) plotter.XYs {
	if len(points) <= n {
		return points
	}
	var kept plotter.XYs
	stretches := n / 2
	for i := range stretches {
		from, to := i*len(points)/stretches, (i+1)*len(points)/stretches
		low, high := from, from
		for j := from; j < to; j++ {
			if points[j].Y < points[low].Y {
				low = j
			}
			if points[j].Y > points[high].Y {
				high = j
			}
		}
		kept = append(kept, points[min(low, high)])
		if low != high {
			kept = append(kept, points[max(low, high)])
		}
	}
	return kept
}

// legend draws samples of the curves and their names in a row.
func (c *chart) legend(canvas draw.Canvas, x, y vg.Length) {
	style := sans(plot.NewLegend().TextStyle, 12, ink)
	for _, curve := range c.curves() {
		const sample = 22
		canvas.StrokeLine2(curve.line, x, y, x+sample, y)
		canvas.DrawGlyph(curve.dot, vg.Point{X: x + sample/2, Y: y})
		x += sample + 6
		writeBeside(canvas, style, x, y, curve.name)
		x += style.Width(curve.name) + 24
	}
}

// writeBeside writes a text whose digits and capitals have their middle at y.
func writeBeside(c draw.Canvas, style draw.TextStyle, x, y vg.Length, s string) {
	const capital = 0.72 // the height of a capital, of the font's size
	c.FillText(style, vg.Point{X: x, Y: y - style.Font.Size*capital/2}, s)
}

// labels are the names of horizontal lines, written to the right of the plot.
type labels []label

type label struct {
	y     float64
	text  string
	style draw.TextStyle
}

// labels returns those of the baselines and of the best held-out loss, from the
// top to the bottom.
func (c *chart) labels() labels {
	style := plot.NewLegend().TextStyle
	var all labels
	for _, b := range c.baselines {
		all = append(all, label{b.loss, fmt.Sprintf("%s %.3f", b.name, b.loss), sans(style, 11, grey)})
	}
	if len(c.held) > 0 {
		best := c.held[c.best].Y
		all = append(all, label{best, fmt.Sprintf("best %.3f", best), sans(style, 11, vermilion)})
	}
	slices.SortStableFunc(all, func(a, b label) int { return cmp.Compare(b.y, a.y) })
	return all
}

func (all labels) width() (w vg.Length) {
	for _, l := range all {
		w = max(w, l.style.Width(l.text))
	}
	return w
}

// Plot writes the labels at the heights of their lines, or lower where they
// would cover the one above. It makes labels a plot.Plotter.
func (all labels) Plot(c draw.Canvas, p *plot.Plot) {
	_, height := p.Transforms(&c)
	free := vg.Length(math.Inf(1))
	for _, l := range all {
		y := min(height(l.y), free)
		writeBeside(c, l.style, c.Max.X+8, y, l.text)
		free = y - l.style.Height(l.text)
	}
}

// ticks marks an axis at round numbers, about count of them, and only at whole
// numbers if it is told so.
type ticks struct {
	count int
	whole bool
}

// Ticks makes ticks a plot.Ticker.
func (t ticks) Ticks(low, high float64) []plot.Tick {
	exponent := math.Floor(math.Log10((high - low) / float64(t.count)))
	mantissa := (high - low) / float64(t.count) / math.Pow(10, exponent)
	switch {
	case mantissa <= 2:
		mantissa = 2
	case mantissa <= 5:
		mantissa = 5
	default:
		mantissa, exponent = 1, exponent+1
	}
	if t.whole && exponent < 0 {
		mantissa, exponent = 1, 0
	}
	step, digits := mantissa*math.Pow(10, exponent), max(-int(exponent), 0)
	var marks []plot.Tick
	for i := math.Ceil(low / step); i*step <= high; i++ {
		label := strconv.FormatFloat(i*step, 'f', digits, 64)
		if digits == 0 {
			label = numbers.Commas(int64(math.Round(i * step)))
		}
		marks = append(marks, plot.Tick{Value: i * step, Label: label})
	}
	return marks
}
