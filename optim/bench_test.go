package optim

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// benchParam is a parameter whose gradient is the value of a node, as in a
// graph that every run recomputes: a solver does not change it.
type benchParam struct {
	fake
	deriv *gorgonia.Node
}

func (p *benchParam) Deriv() *gorgonia.Node { return p.deriv }

func benchParams(tensors, elements int) []gorgonia.ValueGrad {
	g, r := gorgonia.NewGraph(), rand.New(rand.NewPCG(1, 1))
	random := func() *tensor.Dense {
		x := make([]float32, elements)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return tensor.New(tensor.WithBacking(x))
	}
	model := make([]gorgonia.ValueGrad, tensors)
	for i := range model {
		name, grad := fmt.Sprint("w", i), random()
		deriv := gorgonia.NewVector(g, tensor.Float32, gorgonia.WithShape(elements), gorgonia.WithName("d"+name), gorgonia.WithValue(grad))
		model[i] = &benchParam{fake{name: name, w: random(), g: grad}, deriv}
	}
	return model
}

// BenchmarkAdamW times steps with decay and clipping, on as many parameters as
// models of width 128 and 384 have.
func BenchmarkAdamW(b *testing.B) {
	for _, size := range []int{450_000, 5_520_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			const tensors = 60
			model := benchParams(tensors, size/tensors)
			solver := testutil.Must(NewAdamW(AdamWConfig{WeightDecay: 0.1, ClipNorm: 1}))
			step := func() {
				if err := solver.Step(model); err != nil {
					b.Fatal(err)
				}
			}
			step() // makes the moments
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
			if model[0].(*benchParam).g.Data().([]float32)[0] == 0 {
				b.Error("the gradient is gone")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size), "ns/element")
		})
	}
}
