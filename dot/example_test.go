package dot_test

import (
	"fmt"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/dot"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

func Example() {
	g := gorgonia.NewGraph()
	x := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(2, 3), gorgonia.WithName("x"))
	w := gorgonia.NewMatrix(g, tensor.Float32, gorgonia.WithShape(3, 4), gorgonia.WithName("hidden.weight"), gorgonia.WithInit(gorgonia.Zeroes()))
	h := gorgonia.Must(gorgonia.Tanh(gorgonia.Must(gorgonia.Mul(x, w))))
	gorgonia.WithName("hidden")(h)

	data, err := dot.Marshal(g, dot.Depth(1))
	fmt.Println(err)
	for _, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(line, "n0") || strings.HasPrefix(line, "n1") {
			fmt.Println(line)
		}
	}
	// Output:
	// <nil>
	// n0 [label=<x<BR/><FONT POINT-SIZE="9" COLOR="#6b7280">2×3</FONT>> shape=ellipse style=filled fillcolor="#e8f4ea" color="#6da57c"]
	// n1 [label=<<B>hidden</B><BR/>A × B, tanh<BR/><FONT POINT-SIZE="9" COLOR="#6b7280">12 parameters</FONT>> fillcolor="#dfe8f6" color="#56729f"]
	// n0 -> n1
}
