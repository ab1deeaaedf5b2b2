package render

import (
	"bytes"
	"image/color"
	"strconv"
	"strings"
	"sync"

	"codeberg.org/go-fonts/dejavu/dejavusanscondensed"
	"github.com/pkg/errors"
	"golang.org/x/image/colornames"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
)

// PNG draws a graph in the DOT language. With a scale of 1 the picture has 96
// dots per inch, as browsers show SVG; a scale of 2 gives sharp text on
// high-resolution screens. PNG returns an error if Graphviz cannot read the
// graph or the scale is not positive.
func PNG(dot []byte, scale float64) ([]byte, error) {
	if !(scale > 0) {
		return nil, errors.Errorf("render: a scale of %v; it must be above 0", scale)
	}
	s, err := sceneOf(dot)
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
		c.SetLineWidth(vg.Length(e.thickness))
		c.SetLineDash(nil, 0)
		if e.dashed {
			c.SetLineDash([]vg.Length{5, 3}, 0)
		}
		c.Stroke(path)
	}
}

// glyph is a letter, where it stands in its text, and its font.
type glyph struct {
	text string
	x, y vg.Length
	face font.Face
}

// set places the letters of a text one after the other, each in a font that has
// it, and tildes above the letters that they belong to. It returns their width.
func set(e element) (glyphs []glyph, width vg.Length) {
	faces := facesFor(e)
	for _, r := range strings.TrimSpace(strings.ReplaceAll(e.text, "\u00a0", " ")) {
		if r == '\u0303' && len(glyphs) > 0 {
			below := glyphs[len(glyphs)-1]
			tilde := glyph{text: "˜", face: below.face}
			if strings.Contains("bdfhklt", below.text) || strings.ToLower(below.text) != below.text {
				tilde.y = vg.Length(e.size) / 4
			}
			tilde.x = below.x + (width-below.x-tilde.face.Width(tilde.text))/2
			glyphs = append(glyphs, tilde)
			continue
		}
		face := faces[0]
		if !has(face, r) && has(faces[1], r) {
			face = faces[1]
		}
		glyphs = append(glyphs, glyph{text: string(r), x: width, face: face})
		width += face.Width(string(r))
	}
	return glyphs, width
}

// print writes a text.
func (s *scene) print(c vg.Canvas, e element) {
	glyphs, width := set(e)
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
	for _, g := range glyphs {
		c.FillString(g.face, vg.Point{X: at.X + g.x, Y: at.Y + g.y}, g.text)
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

// colour parses #rrggbb and names; anything else is black.
func colour(s string) (color.Color, bool) {
	if s == "" || s == "none" || s == "transparent" {
		return nil, false
	}
	if named, ok := colornames.Map[strings.ToLower(s)]; ok {
		return named, true
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 32)
	if err != nil || len(s) != len("#rrggbb") {
		return color.Black, true
	}
	return color.RGBA{R: uint8(n >> 16), G: uint8(n >> 8), B: uint8(n), A: 255}, true
}
