package pytorch

import (
	"archive/zip"
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/pkg/errors"
)

// maxPickle bounds data.pkl, which takes about 200 bytes for a tensor.
const maxPickle = 8 << 20

// Zip and Legacy are the first bytes of files written by torch.save since
// PyTorch 1.6 and before it.
const (
	Zip    = "PK\x03\x04"
	Legacy = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46"
)

// Read returns the tensors of the state_dict in a file of size bytes, in file
// order. The state_dict is either the saved object or part of it under one of
// the usual names: state_dict, model_state_dict, model or module. Prefixes that
// wrappers of a model add to every name are removed.
//
// Read returns an error for any other saved object, for tensors that are not in
// row-major order, and for tensors that together are larger than twice the
// file.
func Read(r io.ReaderAt, size int64) ([]Tensor, error) {
	a, err := openArchive(r, size)
	if err != nil {
		return nil, err
	}
	raw, err := a.pickle()
	if err != nil {
		return nil, err
	}
	m := &machine{in: raw, storage: a.storage}
	saved, err := m.run()
	if err != nil {
		return nil, err
	}
	d, err := stateDict(saved)
	if err != nil {
		return nil, err
	}
	tensors, err := d.tensors()
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for i, t := range tensors {
		// Tied weights lie in one place; that everything does is no model.
		if total += t.End - t.Begin; total/2 > size {
			return nil, errors.Errorf("the first %d of %d tensors take more than twice the file's %d bytes", i+1, len(tensors), size)
		}
	}
	unwrap(tensors)
	slices.SortStableFunc(tensors, func(a, b Tensor) int { return cmp.Compare(a.Begin, b.Begin) })
	return tensors, nil
}

// archive is the zip archive that torch.save writes.
type archive struct {
	size   int64
	prefix string // the folder in it that has all entries
	files  map[string]*zip.File
	r      io.ReaderAt
}

func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, errors.Wrap(err, "it is cut short, or not a file of torch.save")
	}
	a := &archive{size: size, files: make(map[string]*zip.File), r: r}
	found := false
	for _, f := range z.File {
		if a.files[f.Name] != nil {
			return nil, errors.Errorf("it has two entries %.100q", f.Name)
		}
		a.files[f.Name] = f
		if prefix, ok := strings.CutSuffix(f.Name, "data.pkl"); ok && strings.Count(prefix, "/") == 1 {
			a.prefix, found = prefix, true
		}
	}
	if !found {
		return nil, errors.New("it has no data.pkl, and is not a file of torch.save")
	}
	if a.files[a.prefix+"constants.pkl"] != nil {
		return nil, errors.New("it is a TorchScript program; save the model's state_dict() with torch.save instead")
	}
	return a, a.checkOrder()
}

// checkOrder checks that numbers lie little end first.
func (a *archive) checkOrder() error {
	if a.files[a.prefix+"byteorder"] == nil {
		return nil // of PyTorch before 2.1, which wrote no other on common processors
	}
	begin, end, err := a.stretch(a.prefix + "byteorder")
	if err != nil {
		return err
	}
	order := make([]byte, min(end-begin, 10))
	if _, err := a.r.ReadAt(order, begin); err != nil {
		return err
	}
	if string(order) != "little" {
		return errors.Errorf("its numbers lie %q end first, and only little can be read", order)
	}
	return nil
}

// stretch returns where in the file an entry is, which must be there as it is.
func (a *archive) stretch(name string) (begin, end int64, err error) {
	f := a.files[name]
	if f == nil {
		return 0, 0, errors.Errorf("its entry %.100q is missing", name)
	}
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
		return 0, 0, errors.Errorf("its entry %.100q is compressed, which torch.save never does; unpack the archive and pack it again with zip -0", name)
	}
	if begin, err = f.DataOffset(); err != nil {
		return 0, 0, errors.Wrapf(err, "its entry %.100q", name)
	}
	if begin < 0 || begin > a.size || f.UncompressedSize64 > uint64(a.size-begin) {
		return 0, 0, errors.Errorf("its entry %.100q lies beyond the end of the file", name)
	}
	return begin, begin + int64(f.UncompressedSize64), nil
}

func (a *archive) pickle() ([]byte, error) {
	begin, end, err := a.stretch(a.prefix + "data.pkl")
	if err != nil {
		return nil, err
	}
	if end-begin > maxPickle {
		return nil, errors.Errorf("its data.pkl has %d bytes, which are too many for the names and shapes of a model", end-begin)
	}
	raw := make([]byte, end-begin)
	_, err = a.r.ReadAt(raw, begin)
	return raw, err
}

// storage returns the storage of an id: "storage", its class, its name in the
// archive, the device it was on, and the number of its elements.
func (a *archive) storage(id tuple) (*storage, error) {
	if len(id) < 5 || id[0] != "storage" {
		return nil, errors.New("the id is not that of a storage")
	}
	class, isClass := id[1].(global)
	name, isString := id[2].(string)
	n, isInt := id[4].(int)
	if !isClass || !isString || !isInt || n < 0 {
		return nil, errors.New("the id is not that of a storage")
	}
	begin, end, err := a.stretch(a.prefix + "data/" + name)
	if err != nil {
		return nil, err
	}
	if kind, known := types[class]; known && (end-begin)/kind.width != int64(n) {
		return nil, errors.Errorf("storage %.100q has %d bytes, not the %d numbers that it should have", name, end-begin, n)
	}
	return &storage{class, begin, end}, nil
}

// stateDict finds the state_dict in what was saved.
func stateDict(saved any) (*dict, error) {
	d, ok := saved.(*dict)
	if !ok {
		return nil, errors.Errorf("it holds %s and not a state_dict; save the model's state_dict() with torch.save", kind(saved))
	}
	for _, name := range []string{"state_dict", "model_state_dict", "model", "module"} {
		if inner, ok := d.get(name).(*dict); ok && inner.hasTensors() {
			return inner, nil
		}
	}
	if !d.hasTensors() {
		return nil, errors.New("it holds no state_dict; save the model's state_dict() with torch.save")
	}
	return d, nil
}

// get returns the last value of a key.
func (d *dict) get(key string) (value any) {
	for i, k := range d.keys {
		if k == any(key) {
			value = d.values[i]
		}
	}
	return value
}

func (d *dict) hasTensors() bool {
	return slices.ContainsFunc(d.values, func(v any) bool { _, ok := v.(*Tensor); return ok })
}

// tensors returns the tensors of a state_dict, which has nothing else.
func (d *dict) tensors() (tensors []Tensor, err error) {
	seen := make(map[string]bool)
	for i, key := range d.keys {
		name, ok := key.(string)
		t, also := d.values[i].(*Tensor)
		switch {
		case !ok:
			return nil, errors.Errorf("a key of the state_dict is %s and not a name", kind(key))
		case seen[name]:
			return nil, errors.Errorf("the state_dict has %.100q twice", name)
		case !also:
			return nil, errors.Errorf("%.100q in the state_dict is %s and not a tensor", name, kind(d.values[i]))
		case !t.inRows():
			return nil, errors.Errorf("tensor %.100q does not lie row after row; save it as tensor.contiguous()", name)
		}
		seen[name] = true
		named := *t
		named.Name = name
		tensors = append(tensors, named)
	}
	return tensors, nil
}

// unwrap takes the prefixes off that DistributedDataParallel, torch.compile and
// Lightning put before every name.
func unwrap(tensors []Tensor) {
	for _, prefix := range []string{"module.", "_orig_mod.", "model."} {
		if !slices.ContainsFunc(tensors, func(t Tensor) bool { return !strings.HasPrefix(t.Name, prefix) }) {
			for i := range tensors {
				tensors[i].Name = strings.TrimPrefix(tensors[i].Name, prefix)
			}
		}
	}
}
