package xlstm

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// AdapterConfig configures Model.Adapt.
type AdapterConfig struct {
	// Rank is the rank of the corrections.
	Rank int
	// Alpha over Rank scales them; 0 means Rank, so that the scale is 1.
	Alpha float64
	// On reports whether a linear map has an adapter, by the name of its weight;
	// nil means all linear maps but the head.
	On func(weight string) bool
}

// adapterFile holds the adapters, beside the weights that they correct, and its
// metadata what else they need.
const (
	adapterFile = "adapter.safetensors"
	metaRank    = "rank"
	metaAlpha   = "alpha"
)

// adapted is what a model with adapters has more.
type adapted struct {
	*layers.Adapters
	alpha float64
}

// Adapt gives linear maps adapters of low rank (LoRA, Hu et al., 2021), which
// change nothing until they are trained: trainers made from then on train the
// adapters alone, and the parameters of the model stay as they are. Save writes
// them apart, as adapter.safetensors, and Load merges such a file into the
// weights. Programs and generators that were made before do not have the
// adapters.
func (m *Model) Adapt(cfg AdapterConfig) error {
	if err := m.needsFloats("cannot be adapted"); err != nil {
		return err
	}
	switch {
	case m.adapters != nil:
		return errors.New("xlstm: the model has adapters already; save it and load it, which merges them, for others")
	case cfg.Rank < 1:
		return errors.Errorf("xlstm: adapters of rank %d; it must be at least 1", cfg.Rank)
	case !(cfg.Alpha >= 0 && cfg.Alpha <= 1e6):
		return errors.Errorf("xlstm: adapters with an alpha of %v; it must be between 0 and 1e6", cfg.Alpha)
	}
	if cfg.Alpha == 0 {
		cfg.Alpha = float64(cfg.Rank)
	}
	if cfg.On == nil {
		cfg.On = func(weight string) bool { return weight != headName }
	}
	store, err := layers.NewStore(m.Dtype(), m.store.Seed())
	if err != nil {
		return err
	}
	a := &adapted{&layers.Adapters{Store: store, Rank: cfg.Rank, Scale: cfg.Alpha / float64(cfg.Rank), On: cfg.On}, cfg.Alpha}
	s := layers.NewScope(gorgonia.NewGraph(), m.store, 1)
	s.Adapt(a.Adapters)
	if _, err := newNet(s, m.cfg, true); err != nil {
		return err
	}
	if len(store.Params()) == 0 {
		return errors.New("xlstm: none of the linear maps was chosen for an adapter")
	}
	m.adapters = a
	if m.home == nil {
		return nil
	}
	m.home, err = reside(m.home.device, m.allParams())
	return err
}

// Adapters returns the parameters of the adapters: "lora_a" (In, Rank) and
// "lora_b" (Out, Rank) behind the name of each layer that has one; none without
// adapters.
func (m *Model) Adapters() []layers.Param {
	if m.adapters == nil {
		return nil
	}
	return m.adapters.Store.Params()
}

// allParams returns the parameters and those of the adapters.
func (m *Model) allParams() []layers.Param { return append(m.Params(), m.Adapters()...) }

// saveAdapters writes the adapters to a folder, if there are any.
func (m *Model) saveAdapters(dir string) error {
	if m.adapters == nil {
		if path := filepath.Join(dir, adapterFile); isFile(path) {
			return errors.Errorf("xlstm: saving the model in %s: the adapters in %s would be added to it when it is read; choose another folder", dir, adapterFile)
		}
		return nil
	}
	for _, p := range m.Adapters() {
		if !finite(p.Value) {
			return errors.Errorf("xlstm: saving the adapters in %s: %s holds numbers that are not finite", dir, p.Name)
		}
	}
	return errors.Wrap(safetensors.WriteSummed(filepath.Join(dir, adapterFile), toStore(m.Adapters()), map[string]string{
		metaRank: strconv.Itoa(m.adapters.Rank), metaAlpha: strconv.FormatFloat(m.adapters.alpha, 'g', -1, 64),
	}), "xlstm")
}

// loadAdapters sets the adapters to those in a folder.
func (m *Model) loadAdapters(dir string) error {
	if m.adapters == nil {
		return nil
	}
	return m.adapters.Store.Load(filepath.Join(dir, adapterFile))
}

// mergeAdapters adds the adapters in a folder to the weights, if there are any.
func (m *Model) mergeAdapters(dir string) error {
	path := filepath.Join(dir, adapterFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := m.needsFloats("cannot take the adapters in " + path + "; merge them first"); err != nil {
		return err
	}
	f, err := openTensorFile(path)
	if err != nil {
		return err
	}
	defer f.f.Close()
	rank, err := strconv.Atoi(f.metadata[metaRank])
	if err == nil {
		var alpha float64
		if alpha, err = strconv.ParseFloat(f.metadata[metaAlpha], 64); err == nil {
			err = m.mergeFrom(f, AdapterConfig{Rank: rank, Alpha: alpha})
		}
	}
	return errors.Wrapf(err, "xlstm: the adapters in %s", path)
}

// mergeFrom merges the adapters of a file.
func (m *Model) mergeFrom(f *tensorFile, cfg AdapterConfig) error {
	has := make(map[string]bool)
	for _, e := range f.entries {
		has[e.Name] = true
	}
	cfg.On = func(weight string) bool { return has[layers.AdapterOf(weight)] }
	// Before the adapters are made, whose size the file says.
	for _, e := range f.entries {
		if len(e.Shape) != 2 || !slices.Contains(e.Shape, cfg.Rank) {
			return errors.Errorf("%.200q has shape %v, which is not of rank %d", e.Name, e.Shape, cfg.Rank)
		}
	}
	if err := m.Adapt(cfg); err != nil {
		return err
	}
	defer func() { m.adapters = nil }()
	if err := m.adapters.Store.LoadEntries(f.entries); err != nil {
		return err
	}
	return m.adapters.Merge(m.store)
}

// CopyFrom sets the parameters to those of a model of the same architecture and
// sizes whose vocabulary may be smaller: the rows of the embedding and of the
// head for the further tokens become the mean of those that there are.
func (m *Model) CopyFrom(from *Model) error {
	for _, one := range []*Model{m, from} {
		if err := one.needsFloats("cannot be copied"); err != nil {
			return err
		}
	}
	if err := from.Fetch(); err != nil {
		return err
	}
	m.turns.Lock()
	defer m.turns.Unlock()
	for _, p := range m.Params() {
		v, ok := from.Param(p.Name)
		if !ok || v.Dtype() != p.Value.Dtype() || !sameButRows(v.Shape(), p.Value.Shape(), from.cfg.VocabSize, m.cfg.VocabSize) {
			return errors.Errorf("xlstm: the models differ: one has %s of shape %v, the other of %v", p.Name, p.Value.Shape(), shapeOf(v))
		}
	}
	for _, p := range m.Params() {
		v, _ := from.Param(p.Name)
		if err := copyRows(p.Value, v); err != nil {
			return errors.Wrapf(err, "xlstm: copying %s", p.Name)
		}
	}
	return m.Push()
}
