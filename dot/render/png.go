package render

import (
	"bytes"
	"image/color"
	"strconv"
	"strings"
	"sync"

	"codeberg.org/go-fonts/dejavu/dejavusanscondensed"
	"github.com/pkg/errors"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
)

// PNG draws a graph in the DOT language. With a scale of 1 the picture has 96 dots
// to the inch, as browsers show SVG; text is sharp on today's screens with 2. The
// error says why Graphviz cannot read the graph, or that the scale is not positive.
func PNG(dot []byte, scale float64) ([]byte, error) {
	if !(scale > 0) {
		return nil, errors.Errorf("render: a scale of %v; it must be above 0", scale)
	}
	svg, err := layout(dot)
	if err != nil {
		return nil, err
	}
	s, err := parse(svg)
	if err != nil {
		return nil, err
	}
	const most = 1e8
	if dots := s.width * s.height * scale * scale * (96.0 / 72) * (96.0 / 72); dots > most {
		return nil, errors.Errorf("render: a picture of %.0f million dots is too large; fold more of the graph, or write SVG", dots/1e6)
	}
	return s.png(scale)
}

func (s *scene) png(scale float64) ([]byte, error) {
	c := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(vg.Length(s.width), vg.Length(s.height)), vgimg.UseDPI(int(96*scale)), vgimg.UseBackgroundColor(color.White))}
	for _, e := range s.elements {
		if e.path != nil {
			s.paint(c, e)
		} else {
			s.print(c, e)
		}
	}
	var out bytes.Buffer
	if _, err := c.WriteTo(&out); err != nil {
		return nil, errors.Wrap(err, "render: writing the PNG")
	}
	return out.Bytes(), nil
}

// point turns coordinates of SVG, in which y points down, into those of a canvas.
func (s *scene) point(x, y float64) vg.Point {
	return vg.Point{X: vg.Length(x), Y: vg.Length(s.height - y)}
}

func (s *scene) paint(c vg.Canvas, e element) {
	var path vg.Path
	for _, p := range e.path {
		switch p.op {
		case 'M':
			path.Move(s.point(p.at[0], p.at[1]))
		case 'L':
			path.Line(s.point(p.at[0], p.at[1]))
		case 'C':
			path.CubeTo(s.point(p.at[0], p.at[1]), s.point(p.at[2], p.at[3]), s.point(p.at[4], p.at[5]))
		case 'Z':
			path.Close()
		}
	}
	if fill, ok := colour(e.fill); ok {
		c.SetColor(fill)
		c.Fill(path)
	}
	if line, ok := colour(e.stroke); ok {
		c.SetColor(line)
		c.SetLineWidth(1)
		c.SetLineDash(nil, 0)
		if e.dashed {
			c.SetLineDash([]vg.Length{5, 3}, 0)
		}
		c.Stroke(path)
	}
}

// print writes a text, each piece of it in a font that has its letters.
func (s *scene) print(c vg.Canvas, e element) {
	faces := facesFor(e)
	var pieces []string
	var in []font.Face
	width := vg.Length(0)
	for _, r := range strings.TrimSpace(strings.ReplaceAll(e.text, "\u00a0", " ")) {
		face := faces[0]
		if !has(face, r) && has(faces[1], r) {
			face = faces[1]
		}
		if n := len(in); n > 0 && in[n-1].Face == face.Face {
			pieces[n-1] += string(r)
			continue
		}
		pieces, in = append(pieces, string(r)), append(in, face)
	}
	for i, p := range pieces {
		width += in[i].Width(p)
	}
	at := s.point(e.x, e.y)
	switch e.anchor {
	case "middle":
		at.X -= width / 2
	case "end":
		at.X -= width
	}
	if ink, ok := colour(e.fill); ok {
		c.SetColor(ink)
	}
	for i, p := range pieces {
		c.FillString(in[i], at, p)
		at.X += in[i].Width(p)
	}
}

const symbols = "Symbols"

// fonts are the fonts of all pictures: the metric equals of Graphviz's own, and
// one that has mathematical symbols.
var fonts = sync.OnceValue(func() *font.Cache {
	cache := font.NewCache(liberation.Collection())
	if face, err := opentype.Parse(dejavusanscondensed.TTF); err == nil {
		cache.Add(font.Collection{{Font: font.Font{Typeface: symbols}, Face: face}})
	}
	return cache
})

// facesFor returns the font of a text and the one for letters that it lacks.
func facesFor(e element) [2]font.Face {
	f := font.Font{Typeface: "Liberation", Variant: "Sans"}
	if e.serif {
		f.Variant = "Serif"
	}
	if e.bold {
		f.Weight = xfont.WeightBold
	}
	if e.italic {
		f.Style = xfont.StyleItalic
	}
	size := vg.Length(e.size)
	return [2]font.Face{fonts().Lookup(f, size), fonts().Lookup(font.Font{Typeface: symbols}, size)}
}

func has(f font.Face, r rune) bool {
	var buf sfnt.Buffer
	glyph, err := f.Face.GlyphIndex(&buf, r)
	return err == nil && glyph != 0
}

// colour reads #rrggbb and the names that Graphviz uses by itself.
func colour(s string) (color.Color, bool) {
	switch s {
	case "", "none", "transparent":
		return nil, false
	case "white":
		return color.White, true
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32); err == nil && len(s) == 7 {
		return color.RGBA{R: uint8(n >> 16), G: uint8(n >> 8), B: uint8(n), A: 255}, true
	}
	return color.Black, true
}
