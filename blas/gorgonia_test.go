package blas_test

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/blas/gonum"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gorgonia-xlstm/xlstm/blas"
)

// TestGorgonia: Gorgonia takes the implementation and computes with it what
// it computes with its own.
func TestGorgonia(t *testing.T) {
	defer gorgonia.Use(gonum.Implementation{})
	for _, of := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
		gorgonia.Use(gonum.Implementation{})
		want := gradients(t, of)
		gorgonia.Use(blas.Implementation())
		got := gradients(t, of)
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-4*(1+math.Abs(want[i])) {
				t.Errorf("%v: value %d is %v, gonum's %v", of, i, got[i], want[i])
			}
		}
	}
}

// gradients runs tanh(x·w)·v, forward and backward, and returns the
// gradients of w and of v.
func gradients(t *testing.T, of tensor.Dtype) []float64 {
	t.Helper()
	g := gorgonia.NewGraph()
	matrix := func(rows, cols int) *gorgonia.Node {
		return gorgonia.NewMatrix(g, of, gorgonia.WithShape(rows, cols), gorgonia.WithValue(ramp(of, rows, cols)))
	}
	x, w := matrix(17, 33), matrix(33, 40)
	v := gorgonia.NewVector(g, of, gorgonia.WithShape(40), gorgonia.WithValue(ramp(of, 40)))
	hidden := gorgonia.Must(gorgonia.Tanh(gorgonia.Must(gorgonia.Mul(x, w))))
	cost := gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.Mul(hidden, v))))
	if _, err := gorgonia.Grad(cost, w, v); err != nil {
		t.Fatal(err)
	}
	vm := gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(w, v))
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	var all []float64
	for _, n := range []*gorgonia.Node{w, v} {
		grad, err := n.Grad()
		if err != nil {
			t.Fatal(err)
		}
		switch data := grad.Data().(type) {
		case []float32:
			for _, d := range data {
				all = append(all, float64(d))
			}
		case []float64:
			all = append(all, data...)
		}
	}
	return all
}

// ramp is a tensor of numbers in ±0.25 that do not repeat soon.
func ramp(of tensor.Dtype, shape ...int) tensor.Tensor {
	x := tensor.New(tensor.Of(of), tensor.WithShape(shape...))
	for i := range x.Shape().TotalSize() {
		v := math.Mod(float64(i)*0.37, 0.5) - 0.25
		switch data := x.Data().(type) {
		case []float32:
			data[i] = float32(v)
		case []float64:
			data[i] = v
		}
	}
	return x
}
