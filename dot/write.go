package dot

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// The colours: a filling and the line around it for each kind of item.
const (
	ink, grey, line = "#1f2937", "#6b7280", "#94a3b8"

	operationStyle = `fillcolor="#eef3fb" color="#7d95bd"`
	foldStyle      = `fillcolor="#dfe8f6" color="#56729f"`
	parameterStyle = `shape=box style=filled fillcolor="#fdf4e3" color="#cfa552"`
	inputStyle     = `shape=ellipse style=filled fillcolor="#e8f4ea" color="#6da57c"`
	inputFold      = `fillcolor="#e8f4ea" color="#6da57c"`
	constantStyle  = `shape=plain style="" fontcolor="#6b7280"`
	resultStyle    = `fillcolor="#ffffff" color="#7d95bd" style="rounded,filled,dashed"`
	stubStyle      = `shape=plain style="" fontname="Times-Italic" fontsize=15 fontcolor="#3f6b4d"`
	parameterStub  = `shape=plain style="" fontname="Times-Italic" fontsize=15 fontcolor="#8a6a1f"`
	gradientStyle  = `fillcolor="#fbeeee" color="#bf8080"`
	gradientFold   = `fillcolor="#f6dfdf" color="#a85f5f"`
)

// mostCurves is how many edges are drawn as curves. To find curves for a thousand
// takes Graphviz a minute, straight lines a second.
const mostCurves = 400

// write writes the page. Everything is written in the order of the graph, and
// names are never used as identifiers.
func (p *page) write() []byte {
	var w bytes.Buffer
	routes := ""
	if len(p.edges) > mostCurves {
		routes = " splines=line nslimit=1 mclimit=0.2"
	}
	fmt.Fprintf(&w, `digraph {
graph [bgcolor="#ffffff" pad=0.2 nodesep=0.25 ranksep=0.35 fontname="Helvetica" fontsize=11 fontcolor="%s"%s]
node [shape=box style="rounded,filled" fontname="Helvetica" fontsize=11 fontcolor="%s" margin="0.16,0.06" width=0.3 height=0.3 %s]
edge [color="%s" arrowsize=0.6 fontname="Times-Italic" fontsize=13 fontcolor="#334f7d"]
`, grey, routes, ink, operationStyle, line)
	p.writeTree(&w, "", false)
	p.writeTree(&w, "", true)
	for _, e := range p.edges {
		writeEdge(&w, e)
	}
	w.WriteString("}\n")
	return w.Bytes()
}

// writeTree writes what is directly in a box, and then the boxes in it.
func (p *page) writeTree(w *bytes.Buffer, box string, backward bool) {
	for _, t := range p.items {
		if t.box == box && t.backward == backward {
			fmt.Fprintf(w, "n%d [label=%s%s]\n", t.id, p.label(t), style(t))
		}
	}
	for k, b := range p.boxes {
		if parent(b) != box || !p.open[b] || !p.draws(b, backward) {
			continue
		}
		if p.o.only != b && within(p.o.only, b) {
			p.writeTree(w, b, backward)
			continue
		}
		title := base(b)
		if b == p.o.only {
			title = b
		}
		name, colours := fmt.Sprintf("cluster_%d", k), `color="#c3cddd" bgcolor="#f8fafc"`
		if backward {
			name, title, colours = name+"_backward", "∂ "+title, `color="#ddc3c3" bgcolor="#fdf9f9"`
		}
		fmt.Fprintf(w, "subgraph %s {\ngraph [label=%s labeljust=l style=rounded %s]\n", name, quoted(title), colours)
		p.writeTree(w, b, backward)
		w.WriteString("}\n")
	}
}

// draws reports whether there is anything in a box.
func (p *page) draws(box string, backward bool) bool {
	for _, t := range p.items {
		if t.backward == backward && within(t.box, box) {
			return true
		}
	}
	return false
}

// label returns what an item shows, line by line.
func (p *page) label(t *item) string {
	title := t.title(p.o)
	what, size := t.lines(p.vs)
	if what == "" && size == "" {
		return quoted(title)
	}
	var lines []string
	if title != "" {
		lines = append(lines, html(title))
		if t.fold != "" {
			lines[0] = "<B>" + lines[0] + "</B>"
		}
	}
	if what != "" {
		for _, l := range wrap(what, 34) {
			lines = append(lines, html(l))
		}
	}
	if size != "" {
		lines = append(lines, small(size))
	}
	return "<" + strings.Join(lines, "<BR/>") + ">"
}

func style(t *item) string {
	switch {
	case t.param:
		return " " + parameterStub
	case t.stub != "":
		return " " + stubStyle
	case t.fold != "" && t.backward:
		return " " + gradientFold
	case t.holdsOnly(parameter):
		return " " + parameterStyle
	case t.holdsOnly(input):
		return " " + inputFold
	case t.fold != "":
		return " " + foldStyle
	case t.backward:
		return " " + gradientStyle
	}
	switch v := t.vertices[0]; {
	case v.kind == parameter:
		return " " + parameterStyle
	case v.kind == input:
		return " " + inputStyle
	case v.kind == constant:
		return " " + constantStyle
	case v.result():
		return " " + resultStyle
	}
	return ""
}

// holdsOnly reports whether an item is a fold of vertices of one kind.
func (t *item) holdsOnly(k kind) bool {
	return t.fold != "" && !slices.ContainsFunc(t.vertices, func(v *vertex) bool { return v.kind != k })
}

// writeEdge writes an edge. Gradients flow upwards, so that the backward pass
// stands beside the forward pass; what it reads of that is drawn lightly.
func writeEdge(w *bytes.Buffer, e *edge) {
	from, to, attrs := e.from.id, e.to.id, ""
	switch {
	case e.from.backward:
		from, to, attrs = to, from, ` dir=back color="#c99a9a"`
	case e.to.backward:
		attrs = ` style=dashed color="#d5dbe5" constraint=false arrowsize=0.4`
	case len(e.labels) > 0:
		attrs = " label=" + quoted(" "+strings.Join(e.labels, ", ")+" ")
	}
	if attrs != "" {
		attrs = " [" + attrs[1:] + "]"
	}
	fmt.Fprintf(w, "n%d -> n%d%s\n", from, to, attrs)
}
