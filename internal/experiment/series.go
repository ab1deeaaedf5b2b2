package experiment

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/optim"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// series forecasts a series of numbers: features in and out, without tokens.
func series() Experiment {
	return Experiment{
		Name:    "series",
		About:   "A series that is no text, the chaotic one of Mackey and Glass: the value 16 steps ahead, of which the root of the mean square error is relative to the standard deviation of the series.",
		Minutes: "2 layers or blocks of width 32 with 4 heads, 600 steps of 16 windows of 64 at a rate of 3e-3; tested on the second half of 8,000 values",
		Full:    "2 layers or blocks of width 64, 10,000 steps of 32 windows of 256; hours on two cores",
		cells:   []string{Mixed, SLSTM, MLSTM, LSTM},
		OnCPU:   true,
		runs: func(p plan) []Run {
			if p.cell.Name == LSTMBlock || p.cell.Name == Simplified {
				return nil
			}
			f := forecast{Cell: p.cell.Name, Seed: p.seed, Width: 32, Layers: 2, Batch: 16, Length: 64, Steps: 600, LR: 3e-3, Ahead: 16, Values: 8000}
			if p.setting == Full {
				f.Width, f.Batch, f.Length, f.Steps = 64, 32, 256, 10_000
			}
			return []Run{{Group: "mackeyglass-" + p.cell.Name, Labels: map[string]string{"task": "Mackey-Glass", "cell": p.cell.Name}, Settings: f}}
		},
		charts: func([]Result) []Plot {
			return []Plot{{Title: "Error 16 steps ahead on the second half, in training", Curve: forecastError, Log: true, By: "cell"}}
		},
	}
}

// forecastError and persistence are the errors of a model, and of the value that
// stays.
const (
	forecastError = "error"
	persistence   = "error of the last value"
)

// mackeyGlass returns n values of the series x' = 0.2·x(t−17)/(1+x(t−17)^10) −
// 0.1·x (Mackey and Glass, 1977), at times 1 apart after a start of 500, with
// ten steps of Euler's method for each, shifted and scaled to mean 0 and
// variance 1.
func mackeyGlass(n int) []float64 {
	const fine, delay, start = 10, 170, 500
	x := make([]float64, delay+(start+n)*fine)
	for i := range x {
		if i < delay {
			x[i] = 1.2
			continue
		}
		late := x[i-delay]
		x[i] = x[i-1] + (0.2*late/(1+math.Pow(late, 10))-0.1*x[i-1])/fine
	}
	values := make([]float64, n)
	mean, square := 0.0, 0.0
	for i := range values {
		values[i] = x[delay+(start+i)*fine]
		mean, square = mean+values[i]/float64(n), square+values[i]*values[i]/float64(n)
	}
	for i := range values {
		values[i] = (values[i] - mean) / math.Sqrt(square-mean*mean)
	}
	return values
}

// forecast is a stack that learns to forecast the series. A run that was
// interrupted starts again.
type forecast struct {
	Cell   string  `json:"cell"`
	Seed   uint64  `json:"seed"`
	Width  int     `json:"width"`
	Layers int     `json:"layers"`
	Batch  int     `json:"batch"`
	Length int     `json:"length"`
	Steps  int     `json:"steps"`
	LR     float64 `json:"lr"`
	Ahead  int     `json:"ahead"`
	Values int     `json:"values"`
}

// stack returns the layers between the two linear maps.
func (f forecast) stack() (layers.StackConfig, error) {
	switch f.Cell {
	case LSTM:
		return layers.LSTMStackConfig(f.Width, f.Width, f.Layers, 0), nil
	case MLSTM:
		return layers.DefaultStackConfig(f.Width, f.Layers)
	case Mixed:
		return layers.DefaultStackConfig(f.Width, f.Layers, everySecond(f.Layers).Indices...)
	}
	all := make([]int, f.Layers)
	for i := range all {
		all[i] = i
	}
	return layers.DefaultStackConfig(f.Width, f.Layers, all...)
}

// forecaster is a graph of the forecast.
type forecaster struct {
	forecast
	scope     layers.Scope
	x, target *gorgonia.Node // (Batch·Length, 1)
	loss      *gorgonia.Node
	vm        gorgonia.VM
	values    []float64
}

func (f forecast) build() (*forecaster, error) {
	store, err := layers.NewStore(tensor.Float64, f.Seed)
	if err != nil {
		return nil, err
	}
	b := &forecaster{forecast: f, scope: layers.NewScope(gorgonia.NewGraph(), store, f.Batch), values: mackeyGlass(f.Values)}
	if b.x, err = b.scope.Input("x", f.Batch*f.Length, 1); err != nil {
		return nil, err
	}
	if b.target, err = b.scope.Input("target", f.Batch*f.Length, 1); err != nil {
		return nil, err
	}
	y, err := b.forward()
	if err != nil {
		return nil, err
	}
	if b.loss, err = meanSquare(y, b.target); err != nil {
		return nil, err
	}
	if _, err := gorgonia.Grad(b.loss, b.scope.Learnables()...); err != nil {
		return nil, errors.Wrap(err, "differentiating the error of a forecast")
	}
	b.vm = gorgonia.NewTapeMachine(b.scope.Graph())
	return b, nil
}

// forward maps values to forecasts: a linear map, the stack, a linear map.
func (b *forecaster) forward() (*gorgonia.Node, error) {
	in, err := layers.NewLinear(b.scope.Sub("in"), 1, b.Width, true, layers.Small(1))
	if err != nil {
		return nil, err
	}
	cfg, err := b.stack()
	if err != nil {
		return nil, err
	}
	stack, err := layers.NewStack(b.scope.Sub("stack"), cfg)
	if err != nil {
		return nil, err
	}
	out, err := layers.NewLinear(b.scope.Sub("out"), b.Width, 1, true, layers.Small(b.Width))
	if err != nil {
		return nil, err
	}
	h, err := in.Fwd(b.x)
	if err != nil {
		return nil, err
	}
	if h, _, err = stack.Fwd(h, nil); err != nil {
		return nil, err
	}
	return out.Fwd(h)
}

// meanSquare returns the mean square of a difference.
func meanSquare(y, target *gorgonia.Node) (*gorgonia.Node, error) {
	d, err := gorgonia.Sub(y, target)
	if err != nil {
		return nil, errors.Wrap(err, "building the error of a forecast")
	}
	if d, err = gorgonia.Square(d); err == nil {
		d, err = gorgonia.Mean(d)
	}
	return d, errors.Wrap(err, "building the error of a forecast")
}

// run computes the error, and its gradients, on windows that begin at the given
// places.
func (b *forecaster) run(starts []int) (float64, error) {
	x, target := make([]float64, 0, b.Batch*b.Length), make([]float64, 0, b.Batch*b.Length)
	for _, s := range starts {
		x, target = append(x, b.values[s:s+b.Length]...), append(target, b.values[s+b.Ahead:s+b.Ahead+b.Length]...)
	}
	for _, in := range []struct {
		n *gorgonia.Node
		v []float64
	}{{b.x, x}, {b.target, target}} {
		if err := gorgonia.Let(in.n, tensor.New(tensor.WithShape(len(in.v), 1), tensor.WithBacking(in.v))); err != nil {
			return 0, errors.Wrap(err, "running a forecast")
		}
	}
	b.vm.Reset()
	if err := b.vm.RunAll(); err != nil {
		return 0, errors.Wrap(err, "running a forecast")
	}
	return b.loss.Value().Data().(float64), nil
}

// test returns the error on even windows of the second half.
func (b *forecaster) test() (float64, error) {
	const batches = 4
	half := len(b.values) / 2
	apart := (half - b.Length - b.Ahead) / (batches * b.Batch)
	sum := 0.0
	for k := range batches {
		starts := make([]int, b.Batch)
		for i := range starts {
			starts[i] = half + (k*b.Batch+i)*apart
		}
		loss, err := b.run(starts)
		if err != nil {
			return 0, err
		}
		sum += loss / batches
	}
	return math.Sqrt(sum), nil
}

func (f forecast) do(ctx context.Context, _ site) (*Outcome, error) {
	b, err := f.build()
	if err != nil {
		return nil, err
	}
	defer b.vm.Close()
	solver, err := optim.NewAdam(optim.AdamConfig{LR: optim.WarmupCosine(f.LR, f.LR/100, f.Steps/10, f.Steps), ClipNorm: 1})
	if err != nil {
		return nil, err
	}
	out := new(Outcome)
	for _, n := range b.scope.Learnables() {
		out.Params += n.Shape().TotalSize()
	}
	draws := rand.New(rand.NewPCG(f.Seed, 0))
	for step := 1; step <= f.Steps; step++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		starts := make([]int, f.Batch)
		for i := range starts {
			starts[i] = int(draws.Int32N(int32(len(b.values)/2 - f.Length - f.Ahead)))
		}
		if _, err := b.run(starts); err != nil {
			return nil, err
		}
		if err := solver.Step(gorgonia.NodesToValueGrads(b.scope.Learnables())); err != nil {
			return nil, err
		}
		if step%(f.Steps/10) == 0 {
			y, err := b.test()
			if err != nil {
				return nil, err
			}
			out.add(forecastError, step, y)
			out.set(forecastError, y)
		}
	}
	out.set(persistence, b.staying())
	return out, nil
}

// staying is the error of forecasting the last value, on the second half.
func (b *forecaster) staying() float64 {
	half, sum := len(b.values)/2, 0.0
	n := len(b.values) - b.Ahead - half
	for i := range n {
		d := b.values[half+i+b.Ahead] - b.values[half+i]
		sum += d * d / float64(n)
	}
	return math.Sqrt(sum)
}
