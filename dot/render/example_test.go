package render_test

import (
	"bytes"
	"fmt"
	"image/png"
	"log"

	"github.com/gorgonia-xlstm/xlstm/dot"
	"github.com/gorgonia-xlstm/xlstm/dot/render"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A Gorgonia graph as a picture, without an installed Graphviz.
func ExampleSVG() {
	g := gorgonia.NewGraph()
	x := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(4, 3), gorgonia.WithName("x"))
	w := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(3, 2), gorgonia.WithName("layer.weight"))
	gorgonia.Must(gorgonia.Tanh(gorgonia.Must(gorgonia.Mul(x, w))))

	graph, err := dot.Marshal(g)
	if err != nil {
		log.Fatal(err)
	}
	picture, err := render.SVG(graph)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bytes.Contains(picture, []byte("<svg")), bytes.Contains(picture, []byte("layer")))
	// Output: true true
}

// The same picture in pixels, at twice the size.
func ExamplePNG() {
	picture, err := render.PNG([]byte(`digraph { input -> cell -> output; cell -> cell }`), 2)
	if err != nil {
		log.Fatal(err)
	}
	size, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(size.Width > 100, size.Height > 300)
	// Output: true true
}
