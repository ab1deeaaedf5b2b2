package xlstm

import (
	"encoding/json"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"github.com/pkg/errors"
)

// source is how the model that was loaded is stored.
type source struct {
	pickled    bool // in files that can only be read
	configName string
	config     []byte
	files      []sourceFile
	indexName  string          // empty if there is one file alone
	index      json.RawMessage // its metadata
	warnings   []string        // of loading
}

// sourceFile is a file; its tensors have no data any more.
type sourceFile struct {
	name     string
	metadata map[string]string
	tensors  []pair // param is empty for a head that is tied to the embedding
}

func newSource(configName string, config []byte, st *checkpoint, a assignment) *source {
	s := &source{configName: configName, config: config}
	pairs := make(map[string]pair)
	for _, p := range a.pairs {
		pairs[p.from.Name] = p
	}
	if st.index != nil {
		s.indexName, s.index = filepath.Base(st.path), st.index.Metadata
	}
	for _, f := range st.files {
		s.pickled = s.pickled || f.pickled
		sf := sourceFile{name: f.name, metadata: f.metadata}
		for _, e := range f.entries {
			p := pairs[e.Name]
			p.from, p.from.Data = e, nil
			sf.tensors = append(sf.tensors, p)
		}
		s.files = append(s.files, sf)
	}
	return s
}

// asLoaded returns the model as it was stored when it was loaded.
func (m *Model) asLoaded() (storage, error) {
	if m.source == nil {
		return storage{}, errors.New("AsLoaded is for a model that was loaded; this one was made")
	}
	if m.source.pickled {
		return storage{}, errors.New("AsLoaded is for a model that was loaded from safetensors; this one was loaded from a pickle of PyTorch, which is not written")
	}
	s := storage{configName: m.source.configName, config: m.source.config, indexName: m.source.indexName}
	for _, f := range m.source.files {
		sf := storageFile{name: f.name, metadata: f.metadata}
		for _, t := range f.tensors {
			param := t.param
			if param == "" { // a tied head, which has none
				param = m.cfg.blueprint().embeddingName()
			}
			value, _ := m.Param(param)
			layout := Vanilla
			if t.heads > 0 {
				layout = CUDA
			}
			p := m.inLayout(layers.Param{Name: param, Value: value}, layout)
			sf.tensors = append(sf.tensors, safetensors.Tensor{Name: t.from.Name, Value: p.Value, As: t.from.Encoding})
		}
		s.files = append(s.files, sf)
	}
	var err error
	if s.indexName != "" {
		s.index, err = indexOf(s.files, m.source.index)
	}
	return s, err
}
