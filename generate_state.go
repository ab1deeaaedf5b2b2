package xlstm

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"

	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// The metadata of a generator's state in a file, and its tensor besides the parts
// of the State: the logits of the next token, (V), in float64.
const (
	metaStateConfig  = "state_of_config"
	metaStateWeights = "state_of_weights"
	metaStateTokens  = "tokens"
	stateLogits      = "logits"
)

// SaveState writes the position of the generator to a safetensors file: the
// state, the number of tokens, the logits of the next token, and fingerprints
// of the model. The size of the file does not depend on the length of the text.
// An existing file is replaced atomically.
func (g *Generator) SaveState(path string) error {
	config, weights, err := g.model.fingerprint()
	if err != nil {
		return err
	}
	if err := g.state.Fetch(); err != nil {
		return err
	}
	g.state.catchUp(-1)
	if err := g.settle(); err != nil {
		return err
	}
	tensors := append(slices.Clone(g.state.tensors), layers.Param{Name: stateLogits, Value: tensor.New(tensor.WithShape(len(g.logits)), tensor.WithBacking(g.logits))})
	for _, t := range tensors {
		if !finite(t.Value) {
			return errors.Errorf("xlstm: the state's %s has numbers that are not finite, and is not written to %s", t.Name, path)
		}
	}
	return errors.Wrap(safetensors.WriteFile(path, toStore(tensors), map[string]string{
		metaStateConfig: config, metaStateWeights: weights, metaStateTokens: strconv.Itoa(g.count),
	}), "xlstm")
}

// LoadState sets the generator to the position of another generator of the same
// model when SaveState wrote the file; the continuation is the same, to the
// bit. It returns an error, and does not change the generator, if the state is
// that of another model or of other weights, or if the file is damaged or not a
// state. The memory allocated is that of a state of this model, whatever sizes
// the file contains.
func (g *Generator) LoadState(path string) error {
	f, err := openTensorFile(path)
	if err != nil {
		return err
	}
	defer f.f.Close()
	loaded, err := g.model.readState(f)
	if err != nil {
		return errors.Wrapf(err, "xlstm: %s", path)
	}
	g.count, g.logits, g.late = loaded.count, loaded.logits, nil
	return g.state.Set(loaded.state)
}

// readState reads a file into a generator that has nothing else.
func (m *Model) readState(f *tensorFile) (*Generator, error) {
	count, err := m.checkStateOrigin(f.metadata)
	if err != nil {
		return nil, err
	}
	state, err := m.NewState(1)
	if err != nil {
		return nil, err
	}
	logits := tensor.New(tensor.Of(tensor.Float64), tensor.WithShape(m.cfg.VocabSize))
	missing := make(map[string]*tensor.Dense)
	for _, t := range append(slices.Clone(state.tensors), layers.Param{Name: stateLogits, Value: logits}) {
		missing[t.Name] = t.Value
	}
	for _, e := range f.entries {
		t := missing[e.Name]
		if t == nil || e.Encoding != safetensors.EncodingOf(t.Dtype()) || !t.Shape().Eq(e.Shape) {
			return nil, errors.Errorf("its %.200q, %s of shape %v, is not part of a state of this model", e.Name, e.Encoding, e.Shape)
		}
		if err := e.ReadInto(t); err != nil {
			return nil, err
		}
		if !finite(t) {
			return nil, errors.Errorf("its %q has numbers that are not finite; it is damaged", e.Name)
		}
		delete(missing, e.Name)
	}
	if len(missing) > 0 {
		return nil, errors.Errorf("it lacks %d tensors of a state of this model", len(missing))
	}
	return &Generator{state: state, logits: logits.Float64s(), count: count}, state.Push()
}

// checkStateOrigin sees by a file's metadata that it is a state of this model,
// and returns the number of tokens that were read.
func (m *Model) checkStateOrigin(metadata map[string]string) (tokens int, err error) {
	config, weights, err := m.fingerprint()
	switch {
	case err != nil:
		return 0, err
	case metadata[metaStateConfig] == "":
		return 0, errors.New("it is not the state of a generator")
	case metadata[metaStateConfig] != config:
		return 0, errors.New("it is the state of a model with another configuration; read the text again with this one")
	case metadata[metaStateWeights] != weights:
		return 0, errors.New("it is the state of a model with other weights; read the text again with this one")
	}
	tokens, err = strconv.Atoi(metadata[metaStateTokens])
	if err != nil || tokens < 0 {
		return 0, errors.Errorf("it was written after %.40q tokens, which makes no sense", metadata[metaStateTokens])
	}
	return tokens, nil
}

// fingerprintNumbers is how many numbers of a parameter go into a fingerprint:
// training changes all of them, and a large model is identified quickly.
const fingerprintNumbers = 256

// fingerprint tells models apart: by their configuration and element type, and by
// numbers spread over every parameter.
func (m *Model) fingerprint() (config, weights string, err error) {
	m.turns.RLock()
	defer m.turns.RUnlock()
	raw, err := json.Marshal(m.cfg)
	if err != nil {
		return "", "", errors.Wrap(err, "xlstm: the configuration")
	}
	sum := sha256.Sum256(append(raw, m.Dtype().String()...))
	h := sha256.New()
	for _, p := range m.allParams() {
		hashSome(h, floats.Of(p.Value.Data()))
	}
	for _, p := range m.store.Packed() {
		hashSomeBytes(h, p.Data.Data().([]byte))
	}
	runtime.KeepAlive(m) // whose packed weights may be in a mapped file
	return hex.EncodeToString(sum[:]), hex.EncodeToString(h.Sum(nil)), nil
}

// hashSome writes numbers to h that are spread over all.
func hashSome(h io.Writer, numbers floats.Slice) {
	step := max(1, numbers.Len()/fingerprintNumbers)
	var buf []byte
	for i := 0; i < numbers.Len(); i += step {
		buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(numbers.At(i)))
	}
	h.Write(buf) // a hash never fails
}

// hashSomeBytes writes bytes of packed weights to h that are spread over all.
func hashSomeBytes(h io.Writer, packed []byte) {
	step := max(1, len(packed)/fingerprintNumbers)
	var buf []byte
	for i := 0; i < len(packed); i += step {
		buf = append(buf, packed[i])
	}
	h.Write(buf) // a hash never fails
}
