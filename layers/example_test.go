package layers_test

import (
	"fmt"
	"log"
	"math"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An sLSTM layer in a user's graph learns to predict the next value of a wave.
func ExampleNewSLSTM() {
	const batch, steps, width = 1, 50, 8
	store, err := layers.NewStore(tensor.Float64, 1)
	if err != nil {
		log.Fatal(err)
	}
	g := gorgonia.NewGraph()
	s := layers.NewScope(g, store, batch)
	x, err := s.Input("x", steps, 1)
	if err != nil {
		log.Fatal(err)
	}
	target, err := s.Input("target", steps, 1)
	if err != nil {
		log.Fatal(err)
	}

	in, err := layers.NewLinear(s.Sub("in"), 1, width, true, layers.Small(1))
	if err != nil {
		log.Fatal(err)
	}
	cell, err := layers.NewSLSTM(s.Sub("cell"), layers.SLSTMConfig{EmbeddingDim: width, NumHeads: 2, NormWeight: true})
	if err != nil {
		log.Fatal(err)
	}
	out, err := layers.NewLinear(s.Sub("out"), width, 1, true, layers.Small(width))
	if err != nil {
		log.Fatal(err)
	}

	h := gorgonia.Must(in.Fwd(x))
	h, _, err = cell.Fwd(h, nil) // the second result is the new state
	if err != nil {
		log.Fatal(err)
	}
	y := gorgonia.Must(out.Fwd(h))
	loss := gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(gorgonia.Must(gorgonia.Sub(y, target))))))
	if _, err := gorgonia.Grad(loss, s.Learnables()...); err != nil {
		log.Fatal(err)
	}

	wave := make([]float64, steps+1)
	for t := range wave {
		wave[t] = math.Sin(float64(t) / 2)
	}
	let := func(n *gorgonia.Node, v []float64) {
		if err := gorgonia.Let(n, tensor.New(tensor.WithShape(steps, 1), tensor.WithBacking(v))); err != nil {
			log.Fatal(err)
		}
	}
	let(x, wave[:steps])
	let(target, wave[1:])

	vm := gorgonia.NewTapeMachine(g)
	defer vm.Close()
	solver := gorgonia.NewAdamSolver(gorgonia.WithLearnRate(0.02))
	var first, last float64
	for step := range 200 {
		vm.Reset()
		if err := vm.RunAll(); err != nil {
			log.Fatal(err)
		}
		last = loss.Value().Data().(float64)
		if step == 0 {
			first = last
		}
		if err := solver.Step(gorgonia.NodesToValueGrads(s.Learnables())); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("learned:", last < first/50)
	// Output: learned: true
}
