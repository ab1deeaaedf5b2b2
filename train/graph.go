package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/dot"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/pkg/errors"
)

//go:generate go run . graph -preset base -forward -o ../docs/img/graph-model.svg
//go:generate go run . graph -preset base -o ../docs/img/graph-training.svg
//go:generate go run . graph -preset base -forward -only blocks.0 -o ../docs/img/graph-mlstm-block.svg
//go:generate go run . graph -preset base -forward -only blocks.1 -o ../docs/img/graph-slstm-block.svg
//go:generate go run . graph -preset base -forward -symbolic -only blocks.0.xlstm.mlstm_cell.step.1 -o ../docs/img/graph-mlstm-step.svg
//go:generate go run . graph -preset base -forward -symbolic -only blocks.1.xlstm.slstm_cell.step.1 -o ../docs/img/graph-slstm-step.svg

// maxUnrolled is how many steps of a symbolic graph anybody can read.
const maxUnrolled = 16

// maxDrawn is how many blocks of a model are drawn. The time
// to build and lay out a graph grows with the square of their number.
const maxDrawn = 128

// graphFlags say which graph of a model is drawn, and how much of it.
type graphFlags struct {
	out                    string
	batch, length, depth   int
	symbolic, forward, all bool
	open                   []string
	only                   string
}

// graphCommand draws a model's graph.
func graphCommand(ctx context.Context, args []string, c console) error {
	f := newFlags("graph", "Draw the graph of a model: of a run, of a model's folder, of a configuration's file, or of the settings given.", c,
		"graph runs/small -o small.svg", "graph -preset base -forward -open blocks.1 -o block.png",
		"graph config.json -symbolic -forward -only blocks.0.xlstm.mlstm_cell.step.1 -o mlstm.svg", "graph runs/small > small.dot")
	var model modelSource
	model.register(f)
	var g graphFlags
	g.register(f)
	path, err := parseFolder(f, args)
	if err != nil {
		return err
	}
	if err := g.check(); err != nil {
		return err
	}
	s, err := model.load(f, path)
	if err != nil {
		return err
	}
	data, err := g.marshal(s.Model)
	if err != nil {
		return err
	}
	if g.format() != "dot" {
		if data, err = picture(ctx, data, g.format()); err != nil {
			return err
		}
	}
	if g.out == "" {
		_, err = c.out.Write(data)
		return errors.Wrap(err, "writing the graph")
	}
	return files.WriteFile(g.out, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

func (g *graphFlags) register(f *flags) {
	f.StringVar(&g.out, "o", "", "write to this file: .svg, .png, or .dot for other programs (default: DOT to standard output)")
	f.IntVar(&g.batch, "batch", 1, "sequences in a batch")
	f.IntVar(&g.length, "length", 0, "tokens in a sequence (default: 256, or 1 with -symbolic)")
	f.BoolVar(&g.symbolic, "symbolic", false, "cells built step by step from the operations of the equations")
	f.BoolVar(&g.forward, "forward", false, "the forward pass alone")
	f.IntVar(&g.depth, "depth", 2, "fold boxes that are nested this deep into one node each")
	f.Func("open", "unfold the box of this name, such as blocks.0; may be given more than once", func(v string) error {
		g.open = append(g.open, v)
		return nil
	})
	f.StringVar(&g.only, "only", "", "show the box of this name alone, unfolded, such as blocks.0.xlstm")
	f.BoolVar(&g.all, "all", false, "show every node: nothing is folded, and views and constants are included")
}

func (g *graphFlags) format() string {
	if g.out == "" {
		return "dot"
	}
	return strings.TrimPrefix(strings.ToLower(filepath.Ext(g.out)), ".")
}

func (g *graphFlags) check() error {
	switch g.format() {
	case "dot", "svg", "png":
	default:
		return errors.Errorf("-o is %s; its name must end in .svg, .png or .dot", g.out)
	}
	if g.length == 0 && g.symbolic {
		g.length = 1
	} else if g.length == 0 {
		g.length = 256
	}
	switch {
	case g.batch < 1 || g.length < 1 || g.depth < 1:
		return errors.Errorf("-batch is %d, -length %d and -depth %d; they must be at least 1", g.batch, g.length, g.depth)
	case g.symbolic && g.length > maxUnrolled:
		return errors.Errorf("-length is %d; a graph that is unrolled step by step takes at most %d", g.length, maxUnrolled)
	case g.all && (g.only != "" || len(g.open) > 0):
		return errors.New("-all shows everything; leave -open and -only out")
	case g.only != "" && len(g.open) > 0:
		return errors.New("-only shows its box unfolded already; leave -open out")
	}
	return nil
}

// marshal builds the model into a graph and writes it in the DOT language.
func (g *graphFlags) marshal(cfg xlstm.Config) ([]byte, error) {
	if cfg.NumBlocks > maxDrawn {
		return nil, errors.Errorf("the model has %d blocks, and a graph of at most %d can be drawn; blocks of a kind are alike: draw one with -blocks", cfg.NumBlocks, maxDrawn)
	}
	m, err := xlstm.New(cfg)
	if err != nil {
		return nil, err
	}
	p, err := m.Compile(xlstm.ProgramConfig{
		Batch: g.batch, Steps: g.length, Loss: true, Grad: !g.forward,
		FwdConfig: xlstm.FwdConfig{Symbolic: g.symbolic, Training: !g.forward},
	})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	opts := []dot.Option{dot.Parameters(p.Model()...), dot.Notation(layers.Symbol, layers.Operation)}
	if !g.all {
		opts = append(opts, dot.Elide(), dot.Depth(g.depth), dot.Open(g.open...))
	}
	if g.only != "" {
		opts = append(opts, dot.Only(g.only))
	}
	return dot.Marshal(p.Graph(), opts...)
}
