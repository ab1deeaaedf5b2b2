package xlstm

import (
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
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/gorgonia-xlstm/xlstm/safetensors"
	"github.com/pkg/errors"
)

// tensorFile is an open file of which it has been read what tensors it has: one of
// safetensors, or a pickle that torch.save has written.
type tensorFile struct {
	name     string // without the folder
	pickled  bool
	f        *os.File
	entries  []safetensors.Entry
	metadata map[string]string
	mapped   *files.Mapping // of the whole file, nil before it is needed
}

// openTensorFile opens a file. A file whose checksum is listed beside it must have
// that checksum, unless its weights are packed: they are not read before they are
// used.
func openTensorFile(path string) (*tensorFile, error) {
	f, size, err := files.Open(path, files.AnySize)
	if err != nil {
		return nil, errors.Wrap(err, "xlstm: reading tensors")
	}
	t := &tensorFile{name: filepath.Base(path), f: f}
	err = t.readEntries(size)
	if t.metadata[metaWeights] == "" {
		if damage := files.Verify(path); damage != nil {
			err = damage // which is why, if it could not be read
		}
	}
	if err != nil {
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
	t.entries, t.metadata, err = safetensors.ReadHeader(t.f, size)
	return err
}

// readPickle returns the tensors of a file of torch.save, with their places in the
// file.
func readPickle(r io.ReaderAt, size int64) ([]safetensors.Entry, error) {
	tensors, err := pytorch.Read(r, size)
	if err != nil {
		return nil, err
	}
	var entries []safetensors.Entry
	for _, t := range tensors {
		e := safetensors.Entry{Name: t.Name, Encoding: safetensors.Encoding(t.Type), Shape: t.Shape, Data: io.NewSectionReader(r, int64(t.Begin), int64(t.End-t.Begin))}
		if !e.Encoding.Known() {
			return nil, errors.Errorf("tensor %.200q is of type %.100q; only float64, float32, float16 and bfloat16 can be read", t.Name, t.Type)
		}
		if len(e.Shape) > safetensors.MaxDims || slices.Contains(e.Shape, 0) {
			return nil, errors.Errorf("tensor %.200q has the shape %.200v", t.Name, e.Shape)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// checkpoint is a model's tensors on disk.
type checkpoint struct {
	path    string // of the file, or of the index: what errors name
	files   []*tensorFile
	tensors []safetensors.Entry // in file order, file by file
	index   *shardIndex         // nil if there is one file alone
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
		st.tensors = append(st.tensors, f.entries...)
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

// checkIndex checks that every tensor is where the index says, and nowhere else.
func (st *checkpoint) checkIndex() error {
	if st.index == nil {
		return nil
	}
	var problems []string
	missing := maps.Clone(st.index.WeightMap)
	for _, f := range st.files {
		for _, t := range f.entries {
			switch place, ok := st.index.WeightMap[t.Name]; {
			case !ok:
				problems = append(problems, fmt.Sprintf("%.200q in %s is not in the index", t.Name, f.name))
			case place != f.name:
				problems = append(problems, fmt.Sprintf("%.200q is in %s, but the index says %s", t.Name, f.name, place))
			default:
				delete(missing, t.Name)
			}
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

// toStore returns tensors to be stored so that every number is kept.
func toStore(tensors []layers.Param) (list []safetensors.Tensor) {
	for _, p := range tensors {
		list = append(list, safetensors.Tensor{Name: p.Name, Value: p.Value})
	}
	return list
}

// bytes returns a tensor as it is stored: in memory that is mapped to its file
// where the system can do that, else in a copy.
func (st *checkpoint) bytes(e safetensors.Entry) ([]byte, error) {
	r, from, size := e.Data.Outer()
	for _, f := range st.files {
		if io.ReaderAt(f.f) != r {
			continue
		}
		if f.mapped == nil {
			info, err := f.f.Stat()
			if err != nil {
				return nil, errors.Wrap(err, "mapping a file into memory")
			}
			if f.mapped, err = files.Map(f.f, info.Size()); err != nil {
				return nil, err
			}
			if f.mapped == nil {
				return e.Bytes()
			}
		}
		if int64(len(f.mapped.Content)) < from+size {
			return nil, errors.Errorf("tensor %.200q ends beyond its file, which has been cut short", e.Name)
		}
		return f.mapped.Content[from : from+size : from+size], nil
	}
	return e.Bytes()
}

// mappings returns what of the files is mapped into memory.
func (st *checkpoint) mappings() (all []*files.Mapping) {
	for _, f := range st.files {
		if f.mapped != nil {
			all = append(all, f.mapped)
		}
	}
	return all
}
