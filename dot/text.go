package dot

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// title is the first line of an item, "" if it has none.
func (t *item) title(o *options) string {
	if t.stub != "" {
		return t.stub
	}
	if t.fold != "" {
		if t.backward {
			return "∂ " + base(t.fold)
		}
		return base(t.fold)
	}
	switch v := t.vertices[0]; {
	case v.kind == operation && v.name == v.home, v.kind == constant:
		return "" // the box says it
	case v.name == "" && v.kind != operation:
		return "unnamed"
	case o.symbol(v.name) != "":
		if v.kind == operation && len(v.out) > 0 {
			return "" // the edges say it
		}
		return o.symbol(v.name)
	default:
		return base(v.name)
	}
}

// lines returns what stands under the title: what is computed, and its size.
func (t *item) lines(vs []*vertex) (what, size string) {
	if t.stub != "" {
		return "", ""
	}
	if t.fold != "" {
		return t.foldLines(vs)
	}
	switch v := t.vertices[0]; v.kind {
	case operation:
		if v.result() {
			return "", shapeText(v.node)
		}
		return v.withScalars(vs), v.resultShape(vs)
	case constant:
		if v.node.IsScalar() {
			return constantText(v.node), ""
		}
		return constantText(v.node), shapeText(v.node)
	default:
		return "", shapeText(v.node)
	}
}

// foldLines says what a folded box holds.
func (t *item) foldLines(vs []*vertex) (what, size string) {
	var ops []string
	var only *vertex
	count, params, inputs := 0, 0, 0
	for _, v := range t.vertices {
		switch {
		case v.trivial():
		case v.kind == operation:
			only = v
			count++
			if !slices.Contains(ops, v.label) {
				ops = append(ops, v.label)
			}
		case v.kind == parameter:
			params += v.node.Shape().TotalSize()
		case v.kind == input:
			inputs++
		}
	}
	var sizes []string
	if count == 1 {
		ops = []string{only.withScalars(vs)}
		sizes = append(sizes, only.resultShape(vs))
	}
	if inputs > 0 {
		sizes = append(sizes, plural(inputs, "input"))
	}
	if params > 0 {
		sizes = append(sizes, plural(params, "parameter"))
	}
	return strings.Join(ops, ", "), strings.Join(sizes, " · ")
}

// withScalars returns an operation's label, that of an operator with the constants
// that it reads and that are not drawn: + 1 for an addition of one.
func (v *vertex) withScalars(vs []*vertex) string {
	text := v.label
	if strings.ContainsFunc(text, unicode.IsLetter) {
		return text
	}
	for k, i := range v.in {
		u := vs[i]
		if !u.hidden || u.kind != constant {
			continue
		}
		if text == "⊙" {
			text = "×"
		}
		if k == 0 {
			text = constantText(u.node) + " " + text
		} else {
			text += " " + constantText(u.node)
		}
	}
	return text
}

// resultShape returns the shape of the result of v. An operation with several
// results has no shape, or that of a vector; its results are extracted by views
// that are not drawn, and the shape is that of the first of them.
func (v *vertex) resultShape(vs []*vertex) string {
	if v.node.Dims() > 1 {
		return shapeText(v.node)
	}
	for _, k := range v.out {
		u := vs[k]
		if u.hidden && u.kind == operation && len(u.in) == 1 && u.node.Dims() > 0 {
			return shapeText(u.node)
		}
	}
	return shapeText(v.node)
}

// plural returns n things, with commas between every three digits of n.
func plural(n int, thing string) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if n != 1 {
		thing += "s"
	}
	return s + " " + thing
}

// clean returns text that every reader of DOT and of XML takes: no control
// characters, nothing that is not Unicode, and not endless.
func clean(s string) string {
	const most = 60
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && !unicode.Is(unicode.Mn, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most-1]) + "…"
	}
	return s
}

// wrap breaks a list at commas into lines of about the given width.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.SplitAfter(s, ", ") {
		if line != "" && len([]rune(line+word)) > width {
			lines, line = append(lines, strings.TrimSuffix(line, " ")), ""
		}
		line += word
	}
	return append(lines, line)
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// html returns text for a label in the form of HTML.
func html(s string) string { return escaper.Replace(clean(s)) }

// quoted returns text for a label of one line.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;").Replace(clean(s)) + `"`
}

// small returns text for a label, in small and grey letters.
func small(s string) string {
	return fmt.Sprintf(`<FONT POINT-SIZE="9" COLOR="%s">%s</FONT>`, grey, html(s))
}
