package xlstm

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
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
	// PrecisionBF16 stores the operands of products in bfloat16, with 8 bits of
	// mantissa: the activations between products, and copies of the weights.
	// Products add up in float32; weights, gradients of weights, the residual
	// stream, gates, states, norms and the optimiser remain in float32. It
	// takes half the memory and is fastest, and needs a model in float32.
	PrecisionBF16 Precision = "bf16"
)

// OpenDevice opens a device by its name: "cuda" or "cuda:N" for NVIDIA GPU
// number N, counted from 0. This requires a program for Linux built with -tags
// nvidia. "cpu" is not a device: models run on the CPU without one. The
// precision "" means PrecisionFloat32.
func OpenDevice(name string, precision Precision) (Device, error) {
	ordinal, precision, err := parseDevice(name, precision)
	if err != nil {
		return nil, err
	}
	return openCUDA(ordinal, precision)
}

// parseDevice returns the number of the card and the precision that are meant.
func parseDevice(name string, precision Precision) (int, Precision, error) {
	kind, number, numbered := strings.Cut(name, ":")
	ordinal, err := strconv.Atoi(number)
	if kind != "cuda" || numbered && (err != nil || ordinal < 0) {
		return 0, "", errors.Errorf(`xlstm: there is no device %q; it is "cuda" or "cuda:" and the number of a card`, name)
	}
	switch precision {
	case "":
		precision = PrecisionFloat32
	case PrecisionFloat32, PrecisionTF32, PrecisionBF16:
	default:
		return 0, "", errors.Errorf("xlstm: there is no precision %q; it is %s, %s or %s", precision, PrecisionFloat32, PrecisionTF32, PrecisionBF16)
	}
	return ordinal, precision, nil
}

// PlanDevice returns a device of the given kind for which the memory of training
// can be computed, and nothing else: see CostOptions. It does not need the
// device, but a program that was built for it.
func PlanDevice(name string, precision Precision) (Device, error) {
	_, precision, err := parseDevice(name, precision)
	if err != nil {
		return nil, err
	}
	return planCUDA(precision)
}

// WithDevice places the model on a device: its programs, trainers and
// generators run there. The tensors that Params returns remain on the host; see
// Model.Fetch and Model.Push.
func WithDevice(d Device) Option { return func(o *options) { o.device = d } }

// residence is the memory of tensors on a device. A nil residence is that of
// tensors on the CPU alone.
type residence struct {
	device  Device
	tensors []layers.Param
	buffers []nodes.Buffer // of each tensor
	copies  map[string]halfCopy
	// constants are the bytes of packed weights and of their scales, which nothing
	// writes to.
	constants map[string]nodes.Buffer
}

// halfCopy is a copy of a tensor in bfloat16, and what enqueues that it is made
// again.
type halfCopy struct {
	buffer nodes.Buffer
	renew  func() error
}

// copiesOf returns the copies in bfloat16 of the tensors that nodes are named after. They are
// made when a program first reads them: each behind the one before it, unless that was
// made earlier.
func (r *residence) copiesOf(of gorgonia.Nodes) (all []nodes.Buffer, err error) {
	var names []string
	size := 0
	for _, n := range of {
		if _, made := r.copies[n.Name()]; !made {
			names = append(names, n.Name())
			size += r.copySize(n.Name())
		}
	}
	if names != nil {
		space, err := r.device.Alloc(ops.BFloat16, size)
		if err != nil {
			return nil, err
		}
		if err := r.copyTo(space, names); err != nil {
			return nil, err
		}
	}
	for _, n := range of {
		all = append(all, r.copies[n.Name()].buffer)
	}
	return all, nil
}

// copySize returns the elements that the copy of a tensor takes, so that the next one may
// lie behind it.
func (r *residence) copySize(name string) int {
	unit := max(1, r.device.Alignment()/ops.BFloat16.Size())
	return (r.buffer(name).Len() + unit - 1) / unit * unit
}

// copyTo makes copies of tensors, one after the other in space.
func (r *residence) copyTo(space nodes.Buffer, names []string) error {
	if r.copies == nil {
		r.copies = make(map[string]halfCopy)
	}
	at := 0
	for _, name := range names {
		from := r.buffer(name)
		to := space.Slice(at, from.Len())
		at += r.copySize(name)
		shape := ops.Shape{from.Len()}
		renew, err := r.device.Bind(ops.Reshape{From: shape, To: shape}, []nodes.Buffer{to}, []nodes.Buffer{from}, nil)
		if err != nil {
			return errors.Wrapf(err, "xlstm: a copy of %s", name)
		}
		r.copies[name] = halfCopy{to, renew}
		if err := renew(); err != nil {
			return errors.Wrapf(err, "xlstm: copying %s", name)
		}
	}
	return nil
}

// renewCopies brings the copies up to date with the tensors, except those in done.
func (r *residence) renewCopies(done map[string]bool) error {
	for name, c := range r.copies {
		if done[name] {
			continue
		}
		if err := c.renew(); err != nil {
			return errors.Wrapf(err, "xlstm: the copy of %s in bfloat16", name)
		}
	}
	return nil
}

// reside allocates memory for tensors on a device and copies them. Without a device
// it returns nil; with an error, a residence without memory.
func reside(d Device, tensors []layers.Param) (*residence, error) {
	if d == nil {
		return nil, nil
	}
	r := &residence{device: d, tensors: tensors}
	for _, t := range tensors {
		b, err := nodes.Alloc(d, t.Value)
		if err != nil {
			r.release()
			return r, errors.Wrapf(err, "xlstm: memory for %s on %s", t.Name, d.Name())
		}
		r.buffers = append(r.buffers, b)
	}
	return r, r.push()
}

// settle gives the model's parameters their place on a device, nil for none.
func (m *Model) settle(d Device) (err error) {
	if m.home, err = reside(d, m.Params()); m.home == nil || err != nil {
		return err
	}
	for _, p := range m.store.Packed() {
		if err = m.home.hold(p.Name, p.Data); err == nil && p.Scales != nil {
			err = m.home.hold(p.Name+layers.ScaleSuffix, p.Scales)
		}
		if err != nil {
			m.home.release()
			return err
		}
	}
	return nil
}

// release gives the memory back where not all of a model has found room.
func (r *residence) release() {
	for _, b := range r.buffers {
		r.device.Free(b)
	}
	for _, b := range r.constants {
		r.device.Free(b)
	}
	r.buffers, r.constants = nil, nil
}

// hold copies a constant to the device.
func (r *residence) hold(name string, value *tensor.Dense) error {
	b, err := nodes.Alloc(r.device, value)
	if err != nil {
		return errors.Wrapf(err, "xlstm: memory for %s on %s", name, r.device.Name())
	}
	if r.constants == nil {
		r.constants = make(map[string]nodes.Buffer)
	}
	r.constants[name] = b
	return errors.Wrapf(r.device.Upload(b, value.Data()), "xlstm: copying %s", name)
}

// fetch copies the tensors from the device, push to it.
func (r *residence) fetch() error {
	return r.each(func(host any, b nodes.Buffer) error { return r.device.Download(host, b) })
}

func (r *residence) push() error {
	if r == nil {
		return nil
	}
	if err := r.each(func(host any, b nodes.Buffer) error { return r.device.Upload(b, host) }); err != nil {
		return err
	}
	return r.renewCopies(nil)
}

func (r *residence) each(f func(host any, b nodes.Buffer) error) error {
	if r == nil {
		return nil
	}
	for k, b := range r.buffers {
		if err := f(r.tensors[k].Value.Data(), b); err != nil {
			return errors.Wrapf(err, "xlstm: copying %s", r.tensors[k].Name)
		}
	}
	return nil
}

// buffer returns the memory of the tensor with the given name, nil if there is
// none.
func (r *residence) buffer(name string) nodes.Buffer {
	if k := slices.IndexFunc(r.tensors, func(t layers.Param) bool { return t.Name == name }); k >= 0 {
		return r.buffers[k]
	}
	return nil
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
func (m *Model) Fetch() error { return m.home.fetch() }

// Push copies the parameters from the tensors that Params returns to the
// model's device. It is needed after writing to these tensors. Without a device
// it does nothing.
func (m *Model) Push() error { return m.home.push() }
