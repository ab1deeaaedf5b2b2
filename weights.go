package xlstm

import (
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/nodes"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// WeightFormat is how the weights of linear maps, of the embedding and of the head
// are held in memory. All other parameters, the state and all sums have the model's
// own type. docs/weights.md describes the formats and what they cost.
type WeightFormat string

const (
	// WeightsFloat32 keeps weights as they are trained: four bytes a number.
	WeightsFloat32 WeightFormat = "float32"
	// WeightsBF16 rounds them to bfloat16: two bytes a number.
	WeightsBF16 WeightFormat = "bf16"
	// WeightsInt8 holds integers of one byte, and a scale for every 32 of them. What
	// is multiplied with them is rounded to such integers too.
	WeightsInt8 WeightFormat = "int8"
	// WeightsInt4 holds integers of half a byte, and a scale for every 32 of them.
	// What is multiplied with them is rounded as for WeightsInt8.
	WeightsInt4 WeightFormat = "int4"
)

// weightFormats are the names of the formats of package nodes.
var weightFormats = map[nodes.Format]WeightFormat{
	nodes.Float: WeightsFloat32, nodes.BF16: WeightsBF16, nodes.Int8: WeightsInt8, nodes.Int4: WeightsInt4,
}

// WithWeights sets the format in which a model holds its weights. A model whose
// weights are not in float32 generates and evaluates, but cannot be
// trained or saved. The default is float32, and for a
// model that Quantize wrote the format in which it is stored; int8 and int4 are the only
// one that such a model can be loaded in.
//
// Weights stay in float32 if their rows are not multiples of 32 numbers.
func WithWeights(f WeightFormat) Option { return func(o *options) { o.weights = f } }

// format returns the format of package nodes; given is false for none.
func (f WeightFormat) format() (format nodes.Format, given bool, err error) {
	for format, name := range weightFormats {
		if f == name {
			return format, true, nil
		}
	}
	if f != "" {
		return 0, false, errors.Errorf("xlstm: there is no weight format %.20q; it is float32, bf16, int8 or int4", string(f))
	}
	return nodes.Float, false, nil
}

// packs reports whether weights in fewer bytes are asked for.
func (o options) packs() bool { return o.weights != "" && o.weights != WeightsFloat32 }

// checkWeights reports options that do not go together.
func (o options) checkWeights() error {
	format, _, err := o.weights.format()
	switch {
	case err != nil || format == nodes.Float:
		return err
	case o.dtype != tensor.Float32:
		return errors.Errorf("xlstm: weights in %s are for models that compute in float32, not in %v", o.weights, o.dtype)
	}
	return nil
}

// Weights returns the format in which the model holds its weights.
func (m *Model) Weights() WeightFormat {
	for _, p := range m.store.Packed() {
		return weightFormats[p.Format]
	}
	return WeightsFloat32
}

// needsFloats reports that the model's weights are packed, which does not go with
// what is said.
func (m *Model) needsFloats(what string) error {
	if f := m.Weights(); f != WeightsFloat32 {
		return errors.Errorf("xlstm: the model's weights are held in %s, which %s; load the model in float32", f, what)
	}
	return nil
}

// Packed returns a copy of a model in float32 that holds its weights in another
// format.
func (m *Model) Packed(f WeightFormat) (*Model, error) {
	format, _, err := f.format()
	if err != nil {
		return nil, err
	}
	if err := m.needsFloats("cannot be packed again"); err != nil {
		return nil, err
	}
	o := options{dtype: m.Dtype(), weights: f, device: m.Device()}
	if err := o.checkWeights(); err != nil {
		return nil, err
	}
	if m.adapters != nil {
		return nil, errors.New("xlstm: the model has adapters, which packed weights cannot take; save it and load it, which merges them")
	}
	if err := m.Fetch(); err != nil {
		return nil, err
	}
	m.turns.RLock()
	defer m.turns.RUnlock()
	var packed []layers.PackedParam
	for _, t := range m.shapes() {
		if !t.Packable || format == nodes.Float {
			continue
		}
		value, _ := m.Param(t.Name)
		p := newPacked(t, format)
		if err := p.add(value.Float32s()); err != nil {
			return nil, errors.Wrapf(err, "xlstm: %s", t.Name)
		}
		packed = append(packed, p.param())
	}
	c, err := newEmptyModel(m.cfg, o.dtype, packed)
	if err != nil {
		return nil, err
	}
	for _, p := range c.Params() {
		value, _ := m.Param(p.Name)
		if err := tensor.Copy(p.Value, value); err != nil {
			return nil, errors.Wrapf(err, "xlstm: %s", p.Name)
		}
	}
	c.generationEnds = m.generationEnds
	return c, c.settle(o.device)
}

// newEmptyModel makes a model whose parameters are packed, or zero.
func newEmptyModel(cfg Config, dtype tensor.Dtype, packed []layers.PackedParam) (*Model, error) {
	store, err := layers.NewStore(dtype, 0, layers.Zeroed())
	if err != nil {
		return nil, err
	}
	store.SetPacked(packed...)
	return newModel(cfg, store)
}

// shapes returns the shapes of the parameters.
func (m *Model) shapes() (all []layers.TensorShape) {
	for _, p := range m.parts {
		all = append(all, p.Params...)
	}
	return all
}
