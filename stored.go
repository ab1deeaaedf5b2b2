package xlstm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
)

// The files of a model folder.
const (
	configFile  = "config.json"
	weightsFile = "model.safetensors"
	indexFile   = "model.safetensors.index.json"
)

// locate returns where the configuration and the tensors of a model are: in a
// folder, or in a file of tensors with a configuration beside it. Where nothing
// is, opening what it returns says so.
func locate(path string) (config, weights string, err error) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		return filepath.Join(filepath.Dir(path), configFile), path, nil
	}
	config = filepath.Join(path, configFile)
	for _, name := range []string{weightsFile, indexFile} {
		weights = filepath.Join(path, name)
		if _, err := os.Stat(weights); err == nil {
			return config, weights, nil
		}
	}
	entries, _ := os.ReadDir(path)
	var others []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".safetensors") {
			others = append(others, e.Name())
		}
	}
	switch len(others) {
	case 0:
		return config, filepath.Join(path, weightsFile), nil
	case 1:
		return config, filepath.Join(path, others[0]), nil
	}
	return "", "", errors.Errorf("xlstm: %s has no %s and no %s; give the path of the model's file, one of %.200s", path, weightsFile, indexFile, strings.Join(others, ", "))
}

// tensorFile is an open safetensors file whose header has been read.
type tensorFile struct {
	name     string // without the folder
	f        *os.File
	data     int64 // where the data begin
	entries  []entry
	metadata map[string]string
}

func openTensorFile(path string) (*tensorFile, error) {
	f, size, err := openFile(path)
	if err != nil {
		return nil, err
	}
	entries, metadata, err := readHeader(bufio.NewReader(f), size)
	if err != nil {
		f.Close()
		return nil, errors.Wrapf(err, "xlstm: reading tensors from %s", path)
	}
	t := &tensorFile{name: filepath.Base(path), f: f, data: size, entries: entries, metadata: metadata}
	if n := len(entries); n > 0 {
		t.data -= int64(entries[n-1].end) // the tensors fill the rest of the file
	}
	return t, nil
}

// storedTensor is a tensor in a file, which stays there until it is read.
type storedTensor struct {
	entry
	file *tensorFile
}

// reader reads the tensor's numbers as they are stored.
func (t storedTensor) reader() io.Reader {
	return io.NewSectionReader(t.file.f, t.file.data+int64(t.begin), int64(t.end-t.begin))
}

// checkpoint is a model's tensors on disk.
type checkpoint struct {
	path    string // of the file, or of the index: what errors name
	files   []*tensorFile
	tensors []storedTensor // in the order in which they lie, file by file
	index   *shardIndex    // nil if there is one file alone
}

// shardIndex is the file that tells in which file each tensor is.
type shardIndex struct {
	Metadata  json.RawMessage   `json:"metadata"`
	WeightMap map[string]string `json:"weight_map"`
}

// openStored opens a safetensors file, or the files of an index, and reads the
// headers. It must be closed.
func openStored(path string) (*checkpoint, error) {
	st := &checkpoint{path: path}
	names := []string{filepath.Base(path)}
	if strings.HasSuffix(path, ".json") {
		var err error
		if st.index, err = readIndex(path); err != nil {
			return nil, err
		}
		names = slices.Compact(slices.Sorted(maps.Values(st.index.WeightMap)))
	}
	for _, name := range names {
		f, err := openTensorFile(filepath.Join(filepath.Dir(path), name))
		if err != nil {
			st.close()
			return nil, err
		}
		st.files = append(st.files, f)
		for _, e := range f.entries {
			st.tensors = append(st.tensors, storedTensor{e, f})
		}
	}
	if err := st.checkIndex(); err != nil {
		st.close()
		return nil, errors.Wrapf(err, "xlstm: %s", path)
	}
	return st, nil
}

// readIndex reads an index. All its files must be beside it.
func readIndex(path string) (*shardIndex, error) {
	raw, err := files.ReadVerified(path)
	if err != nil {
		return nil, errors.Wrap(err, "xlstm: reading an index of tensors")
	}
	var index shardIndex
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, errors.Wrapf(err, "xlstm: %s is not an index of tensors", path)
	}
	if len(index.WeightMap) == 0 {
		return nil, errors.Errorf("xlstm: %s is not an index of tensors: it has no weight_map", path)
	}
	for tensor, name := range index.WeightMap {
		if !filepath.IsLocal(name) || strings.ContainsAny(name, `/\`) || !strings.HasSuffix(name, ".safetensors") {
			return nil, errors.Errorf("xlstm: %s puts tensor %.200q into %.200q, which is not a safetensors file beside it", path, tensor, name)
		}
	}
	return &index, nil
}

// checkIndex sees that every tensor is where the index says, and nowhere else.
func (st *checkpoint) checkIndex() error {
	if st.index == nil {
		return nil
	}
	var problems []string
	missing := maps.Clone(st.index.WeightMap)
	for _, t := range st.tensors {
		switch place, ok := st.index.WeightMap[t.name]; {
		case !ok:
			problems = append(problems, fmt.Sprintf("%.200q in %s is not in the index", t.name, t.file.name))
		case place != t.file.name:
			problems = append(problems, fmt.Sprintf("%.200q is in %s, but the index says %s", t.name, t.file.name, place))
		default:
			delete(missing, t.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		problems = append(problems, fmt.Sprintf("%.200q is not in %s, where the index says it is", name, missing[name]))
	}
	return listed("the files do not fit the index", problems)
}

func (st *checkpoint) close() {
	for _, f := range st.files {
		f.f.Close()
	}
}
