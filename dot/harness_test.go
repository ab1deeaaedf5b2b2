package dot_test

import (
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/dot"
	formats "gonum.org/v1/gonum/graph/formats/dot"
	"gonum.org/v1/gonum/graph/formats/dot/ast"
	"gorgonia.org/gorgonia"
)

// program returns a small model, of which block 1 is an sLSTM block.
func program(t testing.TB, cfg xlstm.ProgramConfig, change func(*xlstm.Config)) (*xlstm.Model, *xlstm.Program) {
	t.Helper()
	c := xlstm.DefaultConfig()
	c.VocabSize, c.EmbeddingDim, c.NumBlocks, c.SLSTMAt = 11, 16, 3, xlstm.Blocks(1)
	if change != nil {
		change(&c)
	}
	m, err := xlstm.New(c)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return m, p
}

func marshal(t testing.TB, g *gorgonia.ExprGraph, opts ...dot.Option) string {
	t.Helper()
	data, err := dot.Marshal(g, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// drawing is the content of a DOT file, read by an independent parser.
type drawing struct {
	nodes map[string]node
	boxes []string
	edges []edge
}

type node struct{ label, attrs string }

type edge struct{ from, to, label, attrs string }

func parse(t testing.TB, data string) *drawing {
	t.Helper()
	file, err := formats.ParseString(data)
	if err != nil {
		t.Fatalf("this is not DOT: %v\n%s", err, data)
	}
	d := &drawing{nodes: map[string]node{}}
	d.read(t, file.Graphs[0].Stmts)
	for _, e := range d.edges {
		for _, id := range []string{e.from, e.to} {
			if _, ok := d.nodes[id]; !ok {
				t.Errorf("an edge ends at %s, which is not drawn", id)
			}
		}
	}
	return d
}

func (d *drawing) read(t testing.TB, stmts []ast.Stmt) {
	for _, s := range stmts {
		switch s := s.(type) {
		case *ast.NodeStmt:
			if _, twice := d.nodes[s.Node.ID]; twice {
				t.Errorf("%s is drawn twice", s.Node.ID)
			}
			label, attrs := attributes(s.Attrs)
			d.nodes[s.Node.ID] = node{label, attrs}
		case *ast.EdgeStmt:
			label, attrs := attributes(s.Attrs)
			d.edges = append(d.edges, edge{s.From.(*ast.Node).ID, s.To.Vertex.(*ast.Node).ID, label, attrs})
		case *ast.AttrStmt:
			if label, _ := attributes(s.Attrs); label != "" {
				d.boxes = append(d.boxes, label)
			}
		case *ast.Subgraph:
			d.read(t, s.Stmts)
		}
	}
}

var tags = regexp.MustCompile(`<[^>]*>`)

// attributes returns the label as plain text, its lines separated by bars, and
// all other attributes.
func attributes(attrs []*ast.Attr) (label, others string) {
	for _, a := range attrs {
		if a.Key != "label" {
			others += a.Key + "=" + a.Val + " "
			continue
		}
		if label = a.Val; strings.HasPrefix(label, "<") {
			label = strings.ReplaceAll(label[1:len(label)-1], "<BR/>", "|")
			label = tags.ReplaceAllString(label, "")
		} else {
			label = strings.Trim(strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(label), `"`)
		}
		label = strings.TrimSpace(html.UnescapeString(label))
	}
	return label, others
}

// labels returns those of all nodes.
func (d *drawing) labels() (all []string) {
	for _, n := range d.nodes {
		all = append(all, n.label)
	}
	return all
}

// labelled returns the node with a line of that text.
func (d *drawing) labelled(t testing.TB, text string) (id string, n node) {
	t.Helper()
	for i, m := range d.nodes {
		for _, l := range strings.Split(m.label, "|") {
			if l == text {
				return i, m
			}
		}
	}
	t.Fatalf("nothing is labelled %q; there are %q", text, d.labels())
	return "", node{}
}

// joined reports whether an edge leads from one to the other.
func (d *drawing) joined(from, to string) (edge, bool) {
	for _, e := range d.edges {
		if e.from == from && e.to == to {
			return e, true
		}
	}
	return edge{}, false
}
