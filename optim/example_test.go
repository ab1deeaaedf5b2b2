package optim_test

import (
	"fmt"
	"log"

	_ "go4.org/unsafe/assume-no-moving-gc"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/gorgonia-xlstm/xlstm/optim"
)

// Fit y = w·x to y = 3x with AdamW, the learning rate rising for 10 steps and
// falling for 90.
func ExampleAdamW() {
	g := gorgonia.NewGraph()
	xs := tensor.New(tensor.WithBacking([]float64{-1, 0, 1, 2}))
	ys := tensor.New(tensor.WithBacking([]float64{-3, 0, 3, 6}))
	x := gorgonia.NodeFromAny(g, xs, gorgonia.WithName("x"))
	y := gorgonia.NodeFromAny(g, ys, gorgonia.WithName("y"))
	w := gorgonia.NewScalar(g, gorgonia.Float64, gorgonia.WithName("w"), gorgonia.WithValue(0.0))
	residual := gorgonia.Must(gorgonia.Sub(gorgonia.Must(gorgonia.Mul(x, w)), y))
	loss := gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(residual))))
	if _, err := gorgonia.Grad(loss, w); err != nil {
		log.Fatal(err)
	}

	solver, err := optim.NewAdamW(optim.AdamWConfig{
		LR:          optim.WarmupCosine(0.1, 0.001, 10, 100),
		WeightDecay: 0.001,
		ClipNorm:    1,
	})
	if err != nil {
		log.Fatal(err)
	}
	machine := gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(w))
	defer machine.Close()
	for step := 1; step <= 100; step++ {
		if err := machine.RunAll(); err != nil {
			log.Fatal(err)
		}
		if err := solver.Step([]gorgonia.ValueGrad{w}); err != nil {
			log.Fatal(err)
		}
		if step == 1 || step%25 == 0 {
			fmt.Printf("step %3d: rate %.4f, loss %.2f, w %.2f\n", step, solver.LR(), loss.Value(), w.Value())
		}
		machine.Reset()
	}
	// Output:
	// step   1: rate 0.0100, loss 13.50, w 0.01
	// step  25: rate 0.0934, loss 1.76, w 2.01
	// step  50: rate 0.0591, loss 0.07, w 3.19
	// step  75: rate 0.0187, loss 0.00, w 2.95
	// step 100: rate 0.0010, loss 0.00, w 2.99
}
