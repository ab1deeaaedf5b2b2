package opstest

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/pkg/errors"
)

// Run runs an example on a device with random inputs from a seed, and returns
// the results of the operation and of its derivative by the names of the
// operands. Elements that were not written are NaN. The inputs of the
// derivative are those of the operation, its results on this device, and
// gradients from the same seed.
func (e Example) Run(d device.Device, dt ops.Dtype, seed uint64) (map[string][]float64, error) {
	return e.run(d, dt, seed, func(bool) bool { return false })
}

// RunHalf is Run in float32 with operands in bfloat16 among those that the
// device may store so: each of them if draw returns true.
func (e Example) RunHalf(d device.Device, seed uint64, draw func() bool) (map[string][]float64, error) {
	return e.run(d, ops.Float32, seed, func(allowed bool) bool { return allowed && draw() })
}

func (e Example) run(d device.Device, dt ops.Dtype, seed uint64, half func(allowed bool) bool) (map[string][]float64, error) {
	r := &runner{device: d, dtype: dt, seed: seed, half: half, values: make(map[string]any), results: make(map[string][]float64)}
	if err := r.run(e.Op); err != nil || e.Grad == nil {
		return r.results, err
	}
	return r.results, r.run(e.Grad)
}

type runner struct {
	device  device.Device
	dtype   ops.Dtype
	seed    uint64
	half    func(allowed bool) bool // whether an operand is in bfloat16
	values  map[string]any          // of operands so far
	results map[string][]float64
}

func (r *runner) run(op ops.Op) error {
	var in, out []device.Buffer
	allowed, half := device.HalfOf(r.device, op, r.dtype), device.Half{}
	for k, arg := range op.Inputs() {
		if r.values[arg.Name] == nil {
			r.values[arg.Name] = r.draw(op, arg)
		}
		half.In = append(half.In, r.half(allowed.Reads(k)))
		b, err := r.upload(r.values[arg.Name], half.In[k])
		if err != nil {
			return err
		}
		in = append(in, b)
	}
	for k, arg := range op.Outputs() {
		half.Out = append(half.Out, r.half(allowed.Writes(k)))
		b, err := r.upload(r.floats(arg.Shape.Size(), math.NaN), half.Out[k])
		if err != nil {
			return err
		}
		out = append(out, b)
	}
	var workspace device.Buffer
	if n := r.device.Workspace(op, r.dtype, half); n > 0 {
		var err error
		if workspace, err = r.upload(r.floats(n, math.NaN), false); err != nil {
			return err
		}
	}
	launch, err := r.device.Bind(op, out, in, workspace)
	if err != nil {
		return err
	}
	if err := launch(); err != nil {
		return errors.Wrapf(err, "running %s", op.Name())
	}
	return r.download(op, out)
}

func (r *runner) download(op ops.Op, out []device.Buffer) error {
	if err := r.device.Sync(); err != nil {
		return err
	}
	for k, arg := range op.Outputs() {
		data := r.floats(arg.Shape.Size(), math.NaN)
		if err := r.device.Download(data, out[k]); err != nil {
			return err
		}
		r.values[arg.Name] = data
		r.results[arg.Name] = floats.Of(data).Float64s()
	}
	return nil
}

func (r *runner) upload(data any, half bool) (device.Buffer, error) {
	dt, n := r.dtype, floats.Of(data).Len()
	switch x := data.(type) {
	case []int:
		dt, n = ops.Int, len(x)
	case []byte:
		dt, n = ops.Byte, len(x)
	}
	if half {
		dt = ops.BFloat16
	}
	b, err := r.device.Alloc(dt, n)
	if err != nil {
		return nil, err
	}
	return b, r.device.Upload(b, data)
}

// draw returns values for an operand: the same for the same name and seed, and the
// same numbers in both element types.
func (r *runner) draw(op ops.Op, arg ops.Arg) any {
	h := fnv.New64a()
	h.Write([]byte(arg.Name))
	rng := rand.New(rand.NewPCG(r.seed, h.Sum64()))
	if arg.Bytes {
		return bytes(op, arg, rng)
	}
	if !arg.Int {
		i, next := -1, func() float64 { return float64(float32(rng.NormFloat64())) }
		return r.floats(arg.Shape.Size(), func() float64 {
			i++
			return shaped(op, arg, i, next())
		})
	}
	x := make([]int, arg.Shape.Size())
	for i := range x {
		switch op := op.(type) {
		case ops.Embedding:
			if x[i] = rng.IntN(op.V); i%3 == 0 { // some are frequent, as in a text
				x[i] = min(i%2+3, op.V-1)
			}
		case ops.PackedEmbedding:
			x[i] = rng.IntN(op.V)
		case ops.CappedCrossEntropy:
			x[i] = rng.IntN(op.V+1) - 1
		case ops.LossAndGrad:
			x[i] = rng.IntN(op.V+1) - 1
		case ops.CrossEntropy:
			x[i] = rng.IntN(op.V+1) - 1 // −1 is ops.Ignored
		default:
			x[i] = rng.IntN(5) / 4 // a few resets, and any dropout key
		}
	}
	return x
}

// bytes returns packed numbers of any pattern, and bf16 numbers and scales that
// are normally distributed.
func bytes(op ops.Op, arg ops.Arg, rng *rand.Rand) []byte {
	x := make([]byte, arg.Shape.Size())
	linear, _ := op.(ops.PackedLinear)
	embedding, _ := op.(ops.PackedEmbedding)
	if arg.Name == "w" && linear.Format != ops.BF16 && embedding.Format != ops.BF16 {
		for i := range x {
			x[i] = byte(rng.Uint32())
		}
		return x
	}
	for i := 0; i < len(x); i += 2 {
		binary.LittleEndian.PutUint16(x[i:], uint16(math.Float32bits(float32(rng.NormFloat64()))>>16))
	}
	return x
}

// shaped makes of a normal number one that element i of an operand may be: the
// recurrent weights of an sLSTM or LSTM must not let rounding errors grow from step to
// step, and its normaliser n is positive.
func shaped(op ops.Op, arg ops.Arg, i int, x float64) float64 {
	if _, step := op.(ops.AdamStep); step && arg.Name[0] != 'g' && arg.Name[0] != 'w' {
		return float64(float32(0.05 + 0.9*math.Abs(math.Tanh(x)))) // β, the factor of clipping, second moments
	}
	if cell, ok := op.(ops.LSTM); ok && arg.Name == "r" {
		return float64(float32(x * 0.5 / math.Sqrt(float64(cell.H))))
	}
	if cell, ok := op.(ops.Simplified); ok && slices.Contains([]string{"r", "norms", "m"}, arg.Name) {
		return float64(float32(x * 0.5 / math.Sqrt(float64(cell.H))))
	}
	switch op.(type) {
	case ops.MLSTM, ops.MLSTMGrad:
		// As bfloat16 holds it: where q·n is small, the cell multiplies the error of
		// rounding its inputs, which is no kernel's.
		if arg.Name != "i" && arg.Name != "f" {
			return float64(math.Float32frombits(math.Float32bits(float32(x)) &^ 0xffff))
		}
	}
	cell, ok := op.(ops.SLSTM)
	if mapped, maps := op.(ops.SLSTMMapped); maps {
		cell, ok = mapped.SLSTM, true
	}
	switch {
	case ok && arg.Name == "r":
		return float64(float32(x * 0.5 / math.Sqrt(float64(cell.DH))))
	case ok && arg.Name == "state" && i*4/arg.Shape.Size() == 2:
		return math.Abs(x) + 0.5
	}
	return x
}

// floats returns n numbers of the element type.
func (r *runner) floats(n int, next func() float64) any {
	x, values := floats.Make(r.dtype, n), make([]float64, n)
	for i := range values {
		values[i] = next()
	}
	x.Write(values)
	return x.Data()
}
