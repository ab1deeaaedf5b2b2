// Package report writes self-contained HTML pages, which need no network and no
// other files, and JavaScript only for interaction: the report of a training
// run, and the memory of a model while it reads a text. It also draws charts,
// on the page of a run and as pictures.
package report

import (
	"cmp"
	_ "embed"
	"html/template"
	"io"

	"github.com/gorgonia-xlstm/xlstm/internal/numbers"
	"github.com/pkg/errors"
)

// Run is the content of a report. Empty parts are omitted.
type Run struct {
	Kind        string // of page, in its title; empty for a training run
	Name, State string
	About       string   // a description of the run
	Notes       []string // notes at the top of the page, one sentence each
	Figures     []Figure
	Grids       []Grid
	Charts      []Chart
	Samples     []Sample // the newest first
	Parts       []Part
	Graph       []byte // an SVG image; it is not escaped
	Memory      []Amount
	MemoryNote  string
	Starts      []Table
	Settings    []Table
}

// Figure is a key figure of the run.
type Figure struct{ Name, Value, About string }

// Sample is a text that the model generated.
type Sample struct{ Title, Text string }

// Part is a part of the model: its name, its number of parameters and its
// multiply-adds per token.
type Part struct {
	Name         string
	Params, Work int64
}

// Amount is a size in bytes.
type Amount struct {
	Name  string
	Bytes int64
}

// Grid is a table of cells under a head. The first cell of a row names it.
type Grid struct {
	Title, About string
	Head         []string
	Rows         [][]string
}

// Table is a list of names and values under a title.
type Table struct {
	Title string
	Rows  []Row
}

// Row is a line of a Table.
type Row struct{ Name, Value string }

var (
	//go:embed run.html
	pageText string
	//go:embed run.css
	style string
	//go:embed run.js
	script string
)

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"commas": numbers.Commas[int64], "human": human, "width": width, "share": share, "pieces": pieces,
}).Parse(pageText))

// view is a run as the page's template takes it.
type view struct {
	Run
	Drawn       []drawing
	TotalParams int64
	TotalWork   int64
	TotalBytes  int64
	Image       template.HTML
	Style       template.CSS
	Script      template.JS
}

// Title is the kind of the page, as its title has it.
func (v view) Title() string { return cmp.Or(v.Kind, "xLSTM training run") }

// Write writes the report. The same run gives the same bytes.
func Write(w io.Writer, r Run) error {
	v := view{Run: r, Image: template.HTML(r.Graph), Style: template.CSS(style), Script: template.JS(script)}
	for _, c := range r.Charts {
		if d := c.draw(); len(d.Curves) > 0 {
			v.Drawn = append(v.Drawn, d)
		}
	}
	for _, p := range r.Parts {
		v.TotalParams += p.Params
		v.TotalWork += p.Work
	}
	for _, m := range r.Memory {
		v.TotalBytes += m.Bytes
	}
	return errors.Wrap(page.Execute(w, v), "writing the report")
}
