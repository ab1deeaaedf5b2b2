package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gorgonia-xlstm/xlstm"
	"github.com/gorgonia-xlstm/xlstm/dist"
	"github.com/pkg/errors"
)

// onDevice is where a command's models run. No run and no model remembers it.
type onDevice struct{ name, precision string }

// register adds the flags -device and -precision.
func (d *onDevice) register(f *flags) {
	f.StringVar(&d.name, "device", "cpu", "the device of the model: cpu, cuda, or cuda:N for GPU number N")
	f.StringVar(&d.precision, "precision", "", "precision of matrix products on a GPU: float32, tf32 or bf16 (default float32)")
}

// training is where a model is trained, as one of several ranks or alone.
type training struct {
	onDevice
	shard bool
}

// register adds the flags of onDevice, and -shard-optimizer.
func (d *training) register(f *flags) {
	d.onDevice.register(f)
	f.BoolVar(&d.shard, "shard-optimizer", false, "divide AdamW's moments over the ranks of a job, to save memory")
}

// reading is where the model is that a command only reads, and how its weights are
// held there.
type reading struct {
	onDevice
	weights string
}

// register adds the flags of onDevice, and -weights.
func (d *reading) register(f *flags) {
	d.onDevice.register(f)
	f.StringVar(&d.weights, "weights", "", "how the weights are held: float32, bf16, int8 or int4 (default: float32, or as they are stored)")
}

// open returns the device, nil for the CPU, and what closes it.
func (d onDevice) open() (xlstm.Device, func(), error) {
	if d.name == "cpu" {
		if d.precision != "" {
			return nil, nil, errors.New("-precision is for cards; the CPU computes in float32: give -device cuda too, or leave -precision out")
		}
		return nil, func() {}, nil
	}
	dev, err := xlstm.OpenDevice(d.name, xlstm.Precision(d.precision))
	if err != nil {
		return nil, nil, err
	}
	return dev, func() { dev.Close() }, nil
}

// forRank returns where a rank of a job runs: every rank on a machine has a GPU of
// its own, unless the user has named one.
func (d onDevice) forRank(g dist.Group) onDevice {
	if d.name == "cuda" && g.Size() > 1 {
		n := dist.LocalRank()
		if visible := os.Getenv("CUDA_VISIBLE_DEVICES"); visible != "" { // possibly this rank's alone
			n %= len(strings.Split(visible, ","))
		}
		d.name = fmt.Sprintf("cuda:%d", n)
	}
	return d
}

// kind describes the device without its number.
func (d onDevice) kind() string {
	kind, _, _ := strings.Cut(d.name, ":")
	if d.precision != "" {
		kind += " in " + d.precision
	}
	return kind
}

// plan returns a device for which the memory of training can be computed, nil for
// the CPU.
func (d onDevice) plan() (xlstm.Device, error) {
	if d.name == "cpu" {
		_, _, err := d.open()
		return nil, err
	}
	return xlstm.PlanDevice(d.name, xlstm.Precision(d.precision))
}

// load opens a model, which is then on the device, with its vocabulary;
// closeDevice is to be called when the model is of no use any more. Warnings go
// to out.
func (d reading) load(path string, out io.Writer) (lm *xlstm.LM, closeDevice func(), err error) {
	device, closeDevice, err := d.open()
	if err != nil {
		return nil, nil, err
	}
	if lm, err = openModel(path, out, xlstm.WithDevice(device), xlstm.WithWeights(xlstm.WeightFormat(d.weights))); err != nil {
		closeDevice()
		return nil, nil, err
	}
	return lm, closeDevice, nil
}
