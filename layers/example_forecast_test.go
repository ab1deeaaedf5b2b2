package layers_test

import (
	"fmt"
	"math"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// A stack of an mLSTM and an sLSTM block, and one of two layers of the classic
// LSTM, forecast a series four steps ahead: two numbers in, one number out. The
// error is that on a part of the series which they did not learn from, relative
// to forecasting the last value.
func Example_forecast() {
	const width = 16
	xlstm, err := layers.DefaultStackConfig(width, 2, 1)
	check(err)
	fmt.Println("xLSTM better than the last value:", forecastError(xlstm, width) < 0.5)
	fmt.Println("LSTM better than the last value:", forecastError(layers.LSTMStackConfig(width, width, 2, 0), width) < 0.5)
	// Output:
	// xLSTM better than the last value: true
	// LSTM better than the last value: true
}

// forecastError trains a stack between two linear maps and returns its error.
func forecastError(cfg layers.StackConfig, width int) float64 {
	const steps, ahead, last = 32, 4, 600
	store, err := layers.NewStore(tensor.Float64, 1)
	check(err)
	s := layers.NewScope(gorgonia.NewGraph(), store, 1)
	x, err := s.Input("x", steps, 2)
	check(err)
	target, err := s.Input("target", steps, 1)
	check(err)
	in, err := layers.NewLinear(s.Sub("in"), 2, width, true, layers.Small(2))
	check(err)
	stack, err := layers.NewStack(s.Sub("stack"), cfg)
	check(err)
	out, err := layers.NewLinear(s.Sub("out"), width, 1, true, layers.Small(width))
	check(err)
	h, err := in.Fwd(x)
	check(err)
	h, _, err = stack.Fwd(h, nil)
	check(err)
	y, err := out.Fwd(h)
	check(err)
	loss := gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(gorgonia.Must(gorgonia.Sub(y, target))))))
	_, err = gorgonia.Grad(loss, s.Learnables()...)
	check(err)

	value := func(t int) float64 { return math.Sin(float64(t)/3) * math.Cos(float64(t)/7) }
	vm := gorgonia.NewTapeMachine(s.Graph())
	defer vm.Close()
	run := func(from int) (model, staying float64) { // mean square errors
		var xs, ys []float64
		for t := from; t < from+steps; t++ { // the features: the value and its change
			xs, ys = append(xs, value(t), value(t)-value(t-1)), append(ys, value(t+ahead))
			staying += math.Pow(value(t+ahead)-value(t), 2) / steps
		}
		check(gorgonia.Let(x, tensor.New(tensor.WithShape(steps, 2), tensor.WithBacking(xs))))
		check(gorgonia.Let(target, tensor.New(tensor.WithShape(steps, 1), tensor.WithBacking(ys))))
		vm.Reset()
		check(vm.RunAll())
		return loss.Value().Data().(float64), staying
	}
	solver, err := optim.NewAdam(optim.AdamConfig{LR: optim.Constant(0.005)})
	check(err)
	for step := range 150 {
		run(step * 37 % last)
		check(solver.Step(gorgonia.NodesToValueGrads(s.Learnables())))
	}
	model, staying := 0.0, 0.0
	for from := last + 50; from < last+50+8*steps; from += steps {
		m, p := run(from)
		model, staying = model+m, staying+p
	}
	return math.Sqrt(model / staying)
}
