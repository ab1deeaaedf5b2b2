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
	"github.com/gorgonia-xlstm/xlstm/internal/pytorch"
	"github.com/pkg/errors"
)

// The files of a model folder.
const (
	configFile    = "config.json"
	yamlFile      = "config.yaml"
	weightsFile   = "model.safetensors"
	indexFile     = "model.safetensors.index.json"
	pickleFile    = "pytorch_model.bin"
	pickleIndex   = "pytorch_model.bin.index.json"
	firstFile     = "model_0.safetensors" // and so on, without an index
	numberedFiles = "model_%d.safetensors"
	indexEnding   = ".index.json"
)

// The endings of the names of files with tensors: of safetensors, and of what
// torch.save writes.
var (
	tensorEndings = []string{".safetensors"}
	pickleEndings = []string{".pt", ".pth", ".bin"}
)

// locate returns where the configuration and the tensors of a model are: in a
// folder, or in a file of tensors with a configuration beside it. Where nothing
// is, opening what it returns says so.
func locate(path string) (config, weights string, err error) {
	config = configOf(path)
	if isFile(path) {
		return config, path, nil
	}
	for _, name := range []string{weightsFile, indexFile, firstFile, pickleFile, pickleIndex} {
		weights = filepath.Join(path, name)
		if _, err := os.Stat(weights); err == nil {
			return config, weights, nil
		}
	}
	for _, endings := range [][]string{tensorEndings, pickleEndings} {
		switch others := withEnding(path, endings); len(others) {
		case 0:
		case 1:
			return config, filepath.Join(path, others[0]), nil
		default:
			return "", "", errors.Errorf("xlstm: %s has no %s and no %s; give the path of the model's file, one of %.200s", path, weightsFile, indexFile, strings.Join(others, ", "))
		}
	}
	return config, filepath.Join(path, weightsFile), nil
}

// isFile reports whether there is something at a path that is no folder.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// configOf returns the path of the configuration of the model at path.
func configOf(path string) string {
	if isFile(path) {
		path = filepath.Dir(path)
	}
	return configIn(path)
}

// configIn returns the path of the configuration in a folder: config.yaml if
// there is no config.json.
func configIn(dir string) string {
	json, yaml := filepath.Join(dir, configFile), filepath.Join(dir, yamlFile)
	if !isFile(json) && isFile(yaml) {
		return yaml
	}
	return json
}

// withEnding lists the files in a folder whose names have one of the endings.
func withEnding(dir string, endings []string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(e.Name(), ending) }) {
			names = append(names, e.Name())
		}
	}
	return names
}

// tensorFile is an open file of which it has been read what tensors it has: one of
// safetensors, or a pickle that torch.save has written.
type tensorFile struct {
	name     string // without the folder
	pickled  bool
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
	t := &tensorFile{name: filepath.Base(path), f: f}
	if err := t.readEntries(size); err != nil {
		f.Close()
		return nil, errors.Wrapf(err, "xlstm: reading tensors from %s", path)
	}
	return t, nil
}

// readEntries reads what tensors the file has. What it begins with tells its form.
func (t *tensorFile) readEntries(size int64) error {
	start := make([]byte, len(pytorch.Legacy))
	n, err := t.f.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return err
	}
	switch start := string(start[:n]); {
	case start == pytorch.Legacy:
		return errors.New("it is of the form that torch.save had before PyTorch 1.6; load it with a later PyTorch and save it again")
	case strings.HasPrefix(start, pytorch.Zip):
		t.pickled = true
		t.entries, err = readPickle(t.f, size)
		return err
	}
	if t.entries, t.metadata, err = readHeader(bufio.NewReader(t.f), size); err != nil {
		return err
	}
	t.data = size
	if n := len(t.entries); n > 0 {
		t.data -= int64(t.entries[n-1].end) // the tensors fill the rest of the file
	}
	return nil
}

// readPickle returns the tensors of a file of torch.save, with their places in the
// file.
func readPickle(r io.ReaderAt, size int64) ([]entry, error) {
	tensors, err := pytorch.Read(r, size)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, t := range tensors {
		e := entry{name: t.Name, encoding: Encoding(t.Type), shape: t.Shape, begin: uint64(t.Begin), end: uint64(t.End)}
		if _, known := encodings[e.encoding]; !known {
			return nil, errors.Errorf("tensor %.200q is of type %.100q; only float64, float32, float16 and bfloat16 can be read", t.Name, t.Type)
		}
		if len(e.shape) > maxDims || slices.Contains(e.shape, 0) {
			return nil, errors.Errorf("tensor %.200q has the shape %.200v", t.Name, e.shape)
		}
		entries = append(entries, e)
	}
	return entries, nil
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

// openStored opens a file of tensors, the files of an index, or all numbered files
// if it is the first of them, and reads what tensors they have. It must be closed.
func openStored(path string) (*checkpoint, error) {
	st := &checkpoint{path: path}
	names := numbered(path)
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

// numbered returns the name of a file, and if it is the first of numbered files,
// as the official code of xLSTM-7B's architecture reads them, those of all.
func numbered(path string) []string {
	names := []string{filepath.Base(path)}
	if names[0] != firstFile {
		return names
	}
	for {
		next := fmt.Sprintf(numberedFiles, len(names))
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), next)); err != nil {
			return names
		}
		names = append(names, next)
	}
}

// readIndex reads an index. All its files must be beside it.
func readIndex(path string) (*shardIndex, error) {
	raw, err := files.ReadVerified(path, files.MaxList)
	if err != nil {
		return nil, errors.Wrap(err, "xlstm: reading an index of tensors")
	}
	var index shardIndex
	if err := json.Unmarshal(files.WithoutMark(raw), &index); err != nil {
		return nil, errors.Wrapf(err, "xlstm: %s is not an index of tensors", path)
	}
	if len(index.WeightMap) == 0 {
		return nil, errors.Errorf("xlstm: %s is not an index of tensors: it has no weight_map", path)
	}
	for tensor, name := range index.WeightMap {
		if !filepath.IsLocal(name) || strings.ContainsAny(name, `/\`) || !strings.HasSuffix(name, ".safetensors") && !strings.HasSuffix(name, ".bin") {
			return nil, errors.Errorf("xlstm: %s puts tensor %.200q into %.200q, which is not a safetensors file or a pickle beside it", path, tensor, name)
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
