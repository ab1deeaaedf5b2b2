package layers_test

import (
	"fmt"
	"log"
	"math"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A stack of an mLSTM and an sLSTM block, with a linear map on each side, learns to
// predict the next value of a series. The series is read in windows, and the state
// at the end of a window is where the next begins.
func ExampleStack() {
	const steps, windows, width = 16, 4, 16
	store, err := layers.NewStore(tensor.Float64, 1)
	check(err)
	s := layers.NewScope(gorgonia.NewGraph(), store, 1)
	x, err := s.Input("x", steps, 1)
	check(err)
	target, err := s.Input("target", steps, 1)
	check(err)

	in, err := layers.NewLinear(s.Sub("in"), 1, width, true, layers.Small(1))
	check(err)
	cfg, err := layers.DefaultStackConfig(width, 2, 1)
	check(err)
	stack, err := layers.NewStack(s.Sub("stack"), cfg)
	check(err)
	out, err := layers.NewLinear(s.Sub("out"), width, 1, true, layers.Small(width))
	check(err)
	begin, err := stack.NewState(s.Sub("begin"))
	check(err)

	h, err := in.Fwd(x)
	check(err)
	h, end, err := stack.Fwd(h, begin)
	check(err)
	y, err := out.Fwd(h)
	check(err)
	loss := gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(gorgonia.Must(gorgonia.Sub(y, target))))))
	_, err = gorgonia.Grad(loss, s.Learnables()...)
	check(err)

	series := make([]float64, windows*steps+1)
	for t := range series {
		series[t] = math.Sin(float64(t)/3) * math.Cos(float64(t)/7)
	}
	let := func(n *gorgonia.Node, v []float64) {
		check(gorgonia.Let(n, tensor.New(tensor.WithShape(steps, 1), tensor.WithBacking(v))))
	}
	vm := gorgonia.NewTapeMachine(s.Graph())
	defer vm.Close()
	solver, err := optim.NewAdam(optim.AdamConfig{LR: optim.Constant(0.005)})
	check(err)
	var losses []float64 // of every pass over the series
	for range 30 {
		check(begin.Reset())
		sum := 0.0
		for at := 0; at < windows*steps; at += steps {
			let(x, series[at:at+steps])
			let(target, series[at+1:at+steps+1])
			vm.Reset()
			check(vm.RunAll())
			sum += loss.Value().Data().(float64)
			check(begin.Set(end)) // the next window continues where this one ended
			check(solver.Step(gorgonia.NodesToValueGrads(s.Learnables())))
		}
		losses = append(losses, sum/windows)
	}
	fmt.Println("learned:", losses[len(losses)-1] < losses[0]/50)
	// Output: learned: true
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
