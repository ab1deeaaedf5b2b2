package xlstm

import (
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
)

// Device is a processor with separate memory, on which models train and
// generate. It must be closed after use; models on it cannot be used after
// that.
type Device = nodes.Device

// Precision selects how a GPU computes matrix products. Sums, states, norms,
// gates and weights have the model's own type in all cases.
type Precision string

const (
	// PrecisionFloat32 computes products like the CPU, in IEEE single
	// precision. It is the default, because results then agree with those of
	// the CPU to rounding.
	PrecisionFloat32 Precision = "float32"
	// PrecisionTF32 rounds the operands of products to 10 bits of mantissa, for
	// the tensor cores, which are several times as fast.
	PrecisionTF32 Precision = "tf32"
)

// OpenDevice opens a device by its name: "cuda" or "cuda:N" for NVIDIA GPU
// number N, counted from 0. This requires a program for Linux built with -tags
// nvidia. "cpu" is not a device: models run on the CPU without one. The
// precision "" means PrecisionFloat32.
func OpenDevice(name string, precision Precision) (Device, error) {
	kind, number, numbered := strings.Cut(name, ":")
	ordinal, err := strconv.Atoi(number)
	if kind != "cuda" || numbered && (err != nil || ordinal < 0) {
		return nil, errors.Errorf(`xlstm: there is no device %q; it is "cuda" or "cuda:" and the number of a card`, name)
	}
	switch precision {
	case "":
		precision = PrecisionFloat32
	case PrecisionFloat32, PrecisionTF32:
	default:
		return nil, errors.Errorf("xlstm: there is no precision %q; it is %s or %s", precision, PrecisionFloat32, PrecisionTF32)
	}
	return openCUDA(ordinal, precision)
}

// WithDevice places the model on a device: its programs, trainers and
// generators run there. The tensors that Params returns remain on the host; see
// Model.Fetch and Model.Push.
func WithDevice(d Device) Option { return func(o *options) { o.device = d } }

// home is where the parameters of a model on a device are.
type home struct {
	device Device
	params map[string]nodes.Buffer
}

// settle gives the model's parameters their places on a device and copies them.
func (m *Model) settle(d Device) error {
	if d == nil {
		return nil
	}
	m.home = &home{device: d, params: make(map[string]nodes.Buffer)}
	for _, p := range m.Params() {
		b, err := nodes.Alloc(d, p.Value)
		if err != nil {
			return errors.Wrapf(err, "xlstm: memory for %s on %s", p.Name, d.Name())
		}
		m.home.params[p.Name] = b
	}
	return m.Push()
}

// Device returns the device of the model, or nil for the CPU.
func (m *Model) Device() Device {
	if m.home == nil {
		return nil
	}
	return m.home.device
}

// Fetch copies the parameters from the model's device to the tensors that
// Params returns. Saving calls it. Without a device it does nothing.
func (m *Model) Fetch() error {
	return m.eachParam(func(d Device, host any, b nodes.Buffer) error { return d.Download(host, b) })
}

// Push copies the parameters from the tensors that Params returns to the
// model's device. It is needed after writing to these tensors. Without a device
// it does nothing.
func (m *Model) Push() error {
	return m.eachParam(func(d Device, host any, b nodes.Buffer) error { return d.Upload(b, host) })
}

func (m *Model) eachParam(f func(d Device, host any, b nodes.Buffer) error) error {
	if m.home == nil {
		return nil
	}
	for _, p := range m.Params() {
		if err := f(m.home.device, p.Value.Data(), m.home.params[p.Name]); err != nil {
			return errors.Wrapf(err, "xlstm: copying %s", p.Name)
		}
	}
	return nil
}
