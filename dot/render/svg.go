package render

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// SVG draws a graph in the DOT language. It returns an error if Graphviz cannot
// read the graph. The result looks the same on every machine, except for fonts.
func SVG(dot []byte) ([]byte, error) {
	s, err := sceneOf(dot)
	if err != nil {
		return nil, err
	}
	return s.svg(), nil
}

// svg writes the scene. What most elements share is said once, and coordinates
// are rounded, so that pictures are small.
func (s *scene) svg() []byte {
	var w bytes.Buffer
	fmt.Fprintf(&w, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s" font-family="Helvetica,Arial,sans-serif" font-size="11" text-anchor="middle">`+"\n",
		short(s.width), short(s.height), short(s.width), short(s.height))
	for _, e := range s.elements {
		if e.path != nil {
			writeShape(&w, e)
		} else {
			writeText(&w, e)
		}
	}
	w.WriteString("</svg>\n")
	return w.Bytes()
}

func writeShape(w *bytes.Buffer, e element) {
	var d strings.Builder
	for _, p := range e.path {
		d.WriteRune(p.op)
		for i, x := range p.at {
			if i > 0 {
				d.WriteByte(' ')
			}
			d.WriteString(short(x))
		}
	}
	fmt.Fprintf(w, `<path d="%s" fill="%s"`, d.String(), e.fill)
	if e.stroke != "none" {
		fmt.Fprintf(w, ` stroke="%s"`, e.stroke)
	}
	if e.thickness != 1 {
		fmt.Fprintf(w, ` stroke-width="%s"`, short(e.thickness))
	}
	if e.dashed {
		w.WriteString(` stroke-dasharray="5,3"`)
	}
	w.WriteString("/>\n")
}

func writeText(w *bytes.Buffer, e element) {
	fmt.Fprintf(w, `<text x="%s" y="%s" fill="%s"`, short(e.x), short(e.y), e.fill)
	if e.anchor != "middle" {
		fmt.Fprintf(w, ` text-anchor="%s"`, e.anchor)
	}
	if e.size != 11 {
		fmt.Fprintf(w, ` font-size="%s"`, short(e.size))
	}
	if e.serif {
		w.WriteString(` font-family="Times,serif"`)
	}
	if e.bold {
		w.WriteString(` font-weight="bold"`)
	}
	if e.italic {
		w.WriteString(` font-style="italic"`)
	}
	w.WriteString(">")
	// A bytes.Buffer takes everything.
	_ = xml.EscapeText(w, []byte(strings.TrimSpace(strings.ReplaceAll(e.text, "\u00a0", " "))))
	w.WriteString("</text>\n")
}

// short writes a number with one decimal at most.
func short(x float64) string { return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64) }
