package render

import (
	"bytes"
	"encoding/xml"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/pkg/errors"
)

// scene is a picture: shapes and texts, in the order in which they are painted.
type scene struct {
	width, height float64
	elements      []element
}

// element is a shape, or a text if path is empty.
type element struct {
	path         []stroke
	fill, stroke string // colours, "none" for none
	dashed       bool
	thickness    float64

	text         string
	x, y, size   float64
	anchor       string
	serif        bool
	bold, italic bool
}

// stroke is one step of a path: M, L, C or Z, and where it leads.
type stroke struct {
	op rune
	at []float64
}

// parse reads the SVG that Graphviz writes. Graphviz puts the lines of a label
// where they belong if the reader has its fonts; few have, so that each line is
// put where its shape says.
func parse(svg []byte) (*scene, error) {
	s := &scene{}
	r := reader{scene: s, Decoder: xml.NewDecoder(bytes.NewReader(svg))}
	for {
		token, err := r.Token()
		if err == io.EOF {
			return s, nil
		}
		switch t := token.(type) {
		case xml.StartElement:
			err = r.begin(t, attributes(t))
		case xml.EndElement:
			if t.Name.Local == "g" {
				settle(r.group, s.elements[r.since:])
				r.group = ""
			}
		}
		if err != nil {
			return nil, errors.Wrap(err, "render: reading what Graphviz drew")
		}
	}
}

// reader is where parse is.
type reader struct {
	*scene
	*xml.Decoder
	shift [2]float64 // what is added to all coordinates
	group string     // node, edge or cluster
	since int        // the first element of the group
}

func (r *reader) begin(t xml.StartElement, a map[string]string) error {
	switch t.Name.Local {
	case "svg":
		r.width, r.height = number(a["width"]), number(a["height"])
	case "g":
		if a["class"] == "graph" {
			r.shift = translation(a["transform"])
		}
		r.group, r.since = a["class"], len(r.elements)
	case "title":
		return r.Skip()
	case "text":
		e := textElement(a, r.shift)
		if err := r.DecodeElement(&e.text, &t); err != nil {
			return err
		}
		r.elements = append(r.elements, e)
	default:
		if e := shape(t.Name.Local, a, r.shift); e.path != nil {
			r.elements = append(r.elements, e)
		}
	}
	return nil
}

// settle puts the texts of a node into the middle of its shape, and the title of
// a box into its corner.
func settle(group string, elements []element) {
	left, right := math.Inf(1), math.Inf(-1)
	for _, e := range elements {
		for _, p := range e.path {
			for i := 0; i < len(p.at); i += 2 {
				left, right = math.Min(left, p.at[i]), math.Max(right, p.at[i])
			}
		}
	}
	for i := range elements {
		switch e := &elements[i]; {
		case e.path != nil || left > right:
		case group == "node" && e.anchor == "start":
			e.x, e.anchor = (left+right)/2, "middle"
		case group == "cluster":
			e.x, e.anchor = left+8, "start"
		}
	}
}

func attributes(t xml.StartElement) map[string]string {
	a := make(map[string]string)
	for _, x := range t.Attr {
		a[x.Name.Local] = x.Value
	}
	return a
}

func number(s string) float64 {
	x, _ := strconv.ParseFloat(strings.TrimSuffix(s, "pt"), 64)
	return x
}

// numbers returns the numbers in text.
func numbers(s string) (xs []float64) {
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' }) {
		xs = append(xs, number(f))
	}
	return xs
}

// translation returns where a transform moves the origin.
func translation(s string) (shift [2]float64) {
	if _, after, ok := strings.Cut(s, "translate("); ok {
		inner, _, _ := strings.Cut(after, ")")
		copy(shift[:], numbers(inner))
	}
	return shift
}

func textElement(a map[string]string, shift [2]float64) element {
	fill := a["fill"]
	if fill == "" {
		fill = "#000000"
	}
	return element{
		x: number(a["x"]) + shift[0], y: number(a["y"]) + shift[1], size: number(a["font-size"]), fill: fill, anchor: a["text-anchor"],
		serif: strings.Contains(a["font-family"], "Times"), bold: a["font-weight"] == "bold", italic: a["font-style"] == "italic",
	}
}

// shape returns an element with the path of an SVG shape, with an empty one if it
// is none.
func shape(kind string, a map[string]string, shift [2]float64) element {
	e := element{fill: a["fill"], stroke: a["stroke"], dashed: a["stroke-dasharray"] != "", thickness: 1}
	if w := a["stroke-width"]; w != "" {
		e.thickness = number(w)
	}
	switch kind {
	case "polygon", "polyline":
		for i, at := 0, numbers(a["points"]); i+1 < len(at); i += 2 {
			op := 'L'
			if i == 0 {
				op = 'M'
			}
			e.path = append(e.path, stroke{op, at[i : i+2]})
		}
		if kind == "polygon" {
			e.path = append(e.path, stroke{op: 'Z'})
		}
	case "path":
		e.path = pathOf(a["d"])
	case "ellipse":
		e.path = ellipse(number(a["cx"]), number(a["cy"]), number(a["rx"]), number(a["ry"]))
	}
	for _, p := range e.path {
		for i := range p.at {
			p.at[i] += shift[i%2]
		}
	}
	return e
}

// pathOf reads the data of a path, of which Graphviz uses M, L, C and Z.
func pathOf(d string) (path []stroke) {
	size := map[rune]int{'M': 2, 'L': 2, 'C': 6}
	for at := 0; at < len(d); {
		op := rune(d[at])
		end := strings.IndexAny(d[at+1:], "MLCZ")
		if end < 0 {
			end = len(d) - at - 1
		}
		n := numbers(d[at+1 : at+1+end])
		for k := size[op]; k > 0 && len(n) >= k; n = n[k:] {
			path = append(path, stroke{op, n[:k:k]})
		}
		if op == 'Z' {
			path = append(path, stroke{op: op})
		}
		at += 1 + end
	}
	return path
}

// ellipse returns four curves.
func ellipse(x, y, rx, ry float64) []stroke {
	const k = 0.5523 // makes a Bézier curve a quarter of a circle
	curve := func(ax, ay, bx, by, cx, cy float64) stroke {
		return stroke{'C', []float64{x + ax*rx, y + ay*ry, x + bx*rx, y + by*ry, x + cx*rx, y + cy*ry}}
	}
	return []stroke{
		{'M', []float64{x + rx, y}},
		curve(1, k, k, 1, 0, 1), curve(-k, 1, -1, k, -1, 0), curve(-1, -k, -k, -1, 0, -1), curve(k, -1, 1, -k, 1, 0),
		{op: 'Z'},
	}
}
