package xlstm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"github.com/pkg/errors"
)

// SaveConfig configures Model.Save. The zero value is valid.
type SaveConfig struct {
	// Encoding of the numbers, which are rounded to the nearest; empty means
	// the model's own, F32 or F64.
	Encoding safetensors.Encoding
	// Layout of the sLSTM cells; AnyLayout means Vanilla.
	Layout Layout
	// MaxShardSize is the maximum size of a file in bytes. Larger models are
	// split into several files with an index, filled in the order of
	// Model.Params; a tensor that is larger has a separate file. 0 means one
	// file of any size.
	MaxShardSize int64
	// AsLoaded writes a loaded model in its original form: the same files with
	// the same tensors, names, encodings and layouts, and the same config.json.
	// Files written by the official library are reproduced byte for byte if the
	// parameters have not changed. The other fields must be zero.
	AsLoaded bool
}

// Save writes the model to the folder dir, which must exist: its configuration as
// config.json, and its parameters as model.safetensors or, if MaxShardSize requires
// several files, as those and model.safetensors.index.json. They have the form of
// the official implementation of the model's architecture or, if the configuration
// has that form, of Hugging Face's transformers. With tied weights the embedding is
// written a second time, as the head: the official state_dict contains it, and
// transformers since 5.0 always has a separate head. The same model gives the same
// bytes.
//
// Each file is replaced atomically, config.json last, and its SHA-256 is recorded
// in checksums.sha256, which Load and sha256sum -c verify and other programs
// ignore. Save returns an error, and writes nothing, if a parameter is not finite
// in the encoding, or if files with an index would be written to a folder with a
// model.safetensors, which would be read instead of them.
func (m *Model) Save(dir string, cfg SaveConfig) error {
	if err := m.needsFloats("is not what was trained, and is written by Quantize alone"); err != nil {
		return err
	}
	m.turns.Lock()
	err := m.Fetch()
	m.turns.Unlock()
	if err != nil {
		return err
	}
	m.turns.RLock()
	defer m.turns.RUnlock()
	s, err := m.storage(cfg)
	if err != nil {
		return errors.Wrapf(err, "xlstm: saving the model in %s", dir)
	}
	for _, f := range s.files {
		for _, t := range f.tensors {
			if !t.Finite() {
				return errors.Errorf("xlstm: saving the model in %s: %s holds numbers that are not finite in %s; go back to a model saved before, or choose another encoding", dir, t.Name, t.As)
			}
		}
	}
	single := filepath.Join(dir, weightsFile)
	if _, err := os.Stat(single); err == nil && s.index != nil {
		return errors.Errorf("xlstm: saving the model in %s: %s is there and would be read instead of the files that were to be written; remove it, or choose another folder", dir, weightsFile)
	}
	if err := m.saveAdapters(dir); err != nil {
		return err
	}
	for _, f := range s.files {
		if err := safetensors.WriteSummed(filepath.Join(dir, f.name), f.tensors, f.metadata); err != nil {
			return errors.Wrap(err, "xlstm")
		}
	}
	if s.index != nil {
		if err := writeBytes(filepath.Join(dir, s.indexName), s.index); err != nil {
			return err
		}
	}
	return writeBytes(filepath.Join(dir, s.configName), s.config)
}

func writeBytes(path string, data []byte) error {
	return errors.Wrap(files.WriteSummed(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}), "xlstm")
}

// storage is all that a saved model consists of.
type storage struct {
	configName string
	config     []byte
	files      []storageFile
	index      []byte // nil if there is one file alone
	indexName  string
}

type storageFile struct {
	name     string
	tensors  []safetensors.Tensor
	metadata map[string]string
}

// storage returns the model as it is to be saved.
func (m *Model) storage(cfg SaveConfig) (storage, error) {
	if cfg.AsLoaded {
		if cfg != (SaveConfig{AsLoaded: true}) {
			return storage{}, errors.New("AsLoaded goes with no other setting; leave it out to choose encoding, layout and the size of files")
		}
		return m.asLoaded()
	}
	if cfg.Encoding == "" {
		cfg.Encoding = safetensors.EncodingOf(m.Dtype())
	}
	if !cfg.Encoding.Known() {
		return storage{}, errors.Errorf("encoding %.20q is unknown; there are F64, F32, F16 and BF16", string(cfg.Encoding))
	}
	if cfg.Layout < AnyLayout || cfg.Layout > CUDA {
		return storage{}, errors.Errorf("there is no layout %d; there are Vanilla and CUDA", int(cfg.Layout))
	}
	if cfg.MaxShardSize < 0 {
		return storage{}, errors.Errorf("files of at most %d bytes; it must be positive, or 0 for one file", cfg.MaxShardSize)
	}
	config, err := marshalIndented(m.cfg.inLayout(cfg.Layout))
	if err != nil {
		return storage{}, err
	}
	var tensors []safetensors.Tensor
	for _, p := range m.savedParams() {
		p = m.inLayout(p, cfg.Layout)
		tensors = append(tensors, safetensors.Tensor{Name: p.Name, Value: p.Value, As: cfg.Encoding})
	}
	s := storage{configName: configFile, config: config, files: shards(tensors, cfg.MaxShardSize)}
	if len(s.files) > 1 {
		s.indexName = indexFile
		s.index, err = indexOf(s.files, nil)
	}
	return s, err
}

// inLayout returns the configuration of a model whose file has that layout: with
// the official backend that reads it.
func (c Config) inLayout(layout Layout) Config {
	if layout == CUDA && c.SLSTMBlock != nil {
		block := *c.SLSTMBlock
		block.SLSTM.backend = cudaBackend
		c.SLSTMBlock = &block
	}
	return c
}

// savedParams returns the parameters, and with tied weights the head: the official
// state_dict has it too, and transformers from 5.0 on makes a new one at random
// if it is not in the file.
func (m *Model) savedParams() []layers.Param {
	params := m.Params()
	if m.cfg.TieWeights {
		embedding, _ := m.Param(m.cfg.blueprint().embeddingName())
		params = append(params, layers.Param{Name: headName, Value: embedding})
	}
	return params
}

// inLayout returns a parameter as a layout has it.
func (m *Model) inLayout(p layers.Param, layout Layout) layers.Param {
	if _, ordered := cellName(p.Name); ordered && layout == CUDA {
		p.Value = inCUDALayout(p.Name, m.cfg.SLSTMBlock.SLSTM.NumHeads, p.Value)
	}
	return p
}

// shards spreads tensors over files of at most so many bytes, as transformers
// does.
func shards(tensors []safetensors.Tensor, most int64) []storageFile {
	pt := map[string]string{"format": "pt"}
	var parts [][]safetensors.Tensor
	var size int64
	for _, t := range tensors {
		n := t.Bytes()
		if len(parts) == 0 || most > 0 && size+n > most {
			parts, size = append(parts, nil), 0
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], t)
		size += n
	}
	if len(parts) == 1 {
		return []storageFile{{weightsFile, parts[0], pt}}
	}
	var fs []storageFile
	for i, part := range parts {
		fs = append(fs, storageFile{fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(parts)), part, pt})
	}
	return fs
}

// indexOf returns the index of the files, with the given metadata or else with
// the total size.
func indexOf(fs []storageFile, metadata json.RawMessage) ([]byte, error) {
	index := shardIndex{Metadata: metadata, WeightMap: make(map[string]string)}
	var total int64
	for _, f := range fs {
		for _, t := range f.tensors {
			index.WeightMap[t.Name] = f.name
			total += t.Bytes()
		}
	}
	if metadata == nil {
		index.Metadata = fmt.Appendf(nil, `{"total_size": %d}`, total)
	}
	return marshalIndented(index)
}

// marshalIndented writes JSON as people read it.
func marshalIndented(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return buf.Bytes(), err
}
