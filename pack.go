package xlstm

import (
	"runtime"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/weights"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// packing is a weight while it is packed, piece by piece.
type packing struct {
	name         string
	out, in      int
	format       nodes.Format
	data, scales []byte
	done         int // numbers
}

// newPacked returns the empty packed form of a parameter.
func newPacked(t layers.TensorShape, f nodes.Format) *packing {
	p := &packing{name: t.Name, out: t.Shape[0], in: t.Shape[1], format: f}
	p.data = make([]byte, p.out*f.RowBytes(p.in))
	p.scales = make([]byte, p.out*f.ScaleBytes(p.in))
	return p
}

var errNotFinite = errors.New("it holds numbers that are not finite in float32")

// add packs the next numbers, whole groups of them.
func (p *packing) add(x []float32) error {
	if !weights.Finite(x) {
		return errNotFinite
	}
	weights.Pack(p.format, x, p.data[p.format.RowBytes(p.done):], p.scales[p.format.ScaleBytes(p.done):])
	p.done += len(x)
	return nil
}

// param returns the weight when all numbers are packed.
func (p *packing) param() layers.PackedParam {
	return packedParam(p.name, p.out, p.in, p.format, p.data, p.scales)
}

// packedParam returns a packed weight in the memory of data and scales.
func packedParam(name string, out, in int, f nodes.Format, data, scales []byte) layers.PackedParam {
	bytes := func(b []byte) *tensor.Dense {
		return tensor.New(tensor.WithShape(out, len(b)/out), tensor.WithBacking(b))
	}
	p := layers.PackedParam{Name: name, Out: out, In: in, Format: f, Data: bytes(data)}
	if f.Scaled() {
		p.Scales = bytes(scales)
	}
	return p
}

// packedAtOnce is how many numbers are in memory in float32 while a tensor is
// packed: whole groups.
const packedAtOnce = 1 << 20 / ops.Group * ops.Group

// pack returns the weights that the options, or the files, have in a packed format.
func (st *checkpoint) pack(a assignment, o options) (packed []layers.PackedParam, err error) {
	format, given, err := o.weights.format()
	if err != nil {
		return nil, err
	}
	if !given && st.quantizedTo(WeightsBF16) {
		format = nodes.BF16
	}
	for _, p := range a.pairs {
		f := format
		switch {
		case p.stored != nodes.Float && given && f != p.stored:
			return nil, errors.Errorf("%s is stored in %v and cannot be loaded in %v; load the model that it was made of", p.param, p.stored, f)
		case p.stored != nodes.Float:
			f = p.stored
		case f == nodes.Float || !p.want.Packable:
			continue
		}
		param, err := st.packPair(p, f)
		if err != nil {
			return nil, errors.Wrap(err, p.param)
		}
		packed = append(packed, param)
	}
	if len(packed) > 0 && o.dtype != tensor.Float32 {
		return nil, errors.Errorf("its weights are packed, and a model with packed weights computes in float32, not in %v", o.dtype)
	}
	return packed, nil
}

// holds makes the model the owner of mapped files, which are unmapped when it is
// garbage.
func (m *Model) holds(mappings []*files.Mapping) {
	m.mappings = mappings
	for _, mapping := range mappings {
		runtime.AddCleanup(m, func(mapping *files.Mapping) { _ = mapping.Unmap() }, mapping)
	}
}

// keepMappings lets mapped files stay mapped, for a graph that may outlive the model.
func (m *Model) keepMappings() {
	for _, mapping := range m.mappings {
		mapping.Keep()
	}
}

// quantizedTo reports whether Quantize has written the files, in that format.
func (st *checkpoint) quantizedTo(f WeightFormat) bool {
	return slices.ContainsFunc(st.files, func(t *tensorFile) bool { return t.metadata[metaWeights] == string(f) })
}

// packPair returns a weight in a packed format: packed now, or as it is stored.
func (st *checkpoint) packPair(p pair, f nodes.Format) (param layers.PackedParam, err error) {
	if p.stored != f && (f != nodes.BF16 || p.from.Encoding != safetensors.BF16) {
		made, err := packEntry(p.from, p.want, f)
		if err != nil {
			return param, err
		}
		return made.param(), nil
	}
	data, err := st.bytes(p.from)
	if err != nil {
		return param, err
	}
	var scales []byte
	if f.Scaled() {
		if scales, err = st.bytes(p.scales); err != nil {
			return param, err
		}
		if !weights.FiniteScales(scales) {
			return param, errors.New("it has scales that are not finite; the file is damaged")
		}
	}
	return packedParam(p.param, p.want.Shape[0], p.want.Shape[1], f, data, scales), nil
}

// packEntry packs a tensor in a file.
func packEntry(e safetensors.Entry, t layers.TensorShape, f nodes.Format) (*packing, error) {
	p := newPacked(t, f)
	return p, e.Each32(packedAtOnce, p.add)
}
