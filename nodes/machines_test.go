package nodes

import (
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// TestLispMachineFailsRatherThanGivesZeros, and runs forward.
func TestLispMachineFailsRatherThanGivesZeros(t *testing.T) {
	build := func() (g *gorgonia.ExprGraph, w, loss *gorgonia.Node) {
		g = gorgonia.NewGraph()
		in := func(name string, v []float64, shape ...int) *gorgonia.Node {
			return gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithName(name), gorgonia.WithShape(shape...), gorgonia.WithValue(dense(tensor.Float64, shape, v)))
		}
		w = in("w", []float64{1, 2, 3, 4, 5, 6}, 3, 2)
		y, err := Linear(in("x", []float64{1, -1, 2, 3, 0, 1}, 3, 2), w, nil)
		if err != nil {
			t.Fatal(err)
		}
		if y, err = SiLU(y); err != nil {
			t.Fatal(err)
		}
		return g, w, gorgonia.Must(gorgonia.Sum(y))
	}
	g, _, loss := build()
	forward := gorgonia.NewLispMachine(g, gorgonia.ExecuteFwdOnly())
	defer forward.Close()
	if err := forward.RunAll(); err != nil {
		t.Fatal(err)
	}
	value := loss.Value().Data().(float64)

	g, _, _ = build()
	both := gorgonia.NewLispMachine(g)
	defer both.Close()
	err := both.RunAll()
	if err == nil || !strings.Contains(err.Error(), "a LispMachine cannot differentiate silu: call gorgonia.Grad and run the graph on a gorgonia.NewTapeMachine") {
		t.Errorf("error %v", err)
	}

	g, w, loss := build()
	grads, err := gorgonia.Grad(loss, w)
	if err != nil {
		t.Fatal(err)
	}
	tape := gorgonia.NewTapeMachine(g)
	defer tape.Close()
	if err := tape.RunAll(); err != nil {
		t.Fatal(err)
	}
	if got := loss.Value().Data().(float64); got != value {
		t.Errorf("the loss is %v, on a LispMachine %v", got, value)
	}
	for _, d := range elementsOf(grads[0].Value()) {
		if d == 0 {
			t.Errorf("gradient %v", elementsOf(grads[0].Value()))
		}
	}
}

// TestSequencesAsAnAxisOfTheirOwn: activations of (B, T, D) are what one would try
// first. The error says what to make of them.
func TestSequencesAsAnAxisOfTheirOwn(t *testing.T) {
	hints := 0
	for name, c := range cases() {
		n := c.inputs[0].shape[0]
		if n%2 != 0 || len(c.inputs[0].shape) > 2 || isParameter(c.inputs[0].name) || strings.HasSuffix(name, "unused output") {
			continue
		}
		err := c.buildWith(t, func(g *gorgonia.ExprGraph, _ int, in input) *gorgonia.Node {
			if len(in.shape) > 2 || in.shape[0] != n || isParameter(in.name) {
				return in.node(g, tensor.Float64, in.shape...)
			}
			return in.node(g, tensor.Float64, append([]int{2, n / 2}, in.shape[1:]...)...)
		})
		switch {
		case err == nil: // elementwise, or independent of the shape
		case strings.Contains(err.Error(), "rows are B·T"):
			hints++
		default:
			t.Errorf("%s: %v", name, err)
		}
	}
	if hints < 10 {
		t.Errorf("only %d operations say so", hints)
	}
}
