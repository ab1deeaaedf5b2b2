// Command draw makes a picture of a graph in the DOT language, without an
// installed Graphviz. It reads the graph from standard input and writes the
// picture to standard output:
//
//	go run ./dot/draw svg < graph.dot > graph.svg
//	go run ./dot/draw png < graph.dot > graph.png
//
// In another module it is a tool:
//
//	go get -tool github.com/gorgonia-xlstm/xlstm/dot/draw
//	go tool draw svg < graph.dot > graph.svg
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/gorgonia-xlstm/xlstm/dot/render"
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

func main() {
	if err := draw(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "draw:", err)
		os.Exit(1)
	}
}

// maxGraph is the length of the longest graph that is read, in bytes.
const maxGraph = 64 << 20

// scale is that of PNG: two dots for one, for today's screens.
const scale = 2

func draw(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 || args[0] != "svg" && args[0] != "png" {
		return errors.New("say svg or png, and give the graph on standard input: draw svg < graph.dot > graph.svg")
	}
	graph, err := files.ReadAll(in, maxGraph)
	if err != nil {
		return errors.Wrap(err, "reading the graph from standard input")
	}
	picture := render.SVG
	if args[0] == "png" {
		picture = func(dot []byte) ([]byte, error) { return render.PNG(dot, scale) }
	}
	data, err := picture(graph)
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	return errors.Wrap(err, "writing the picture")
}
