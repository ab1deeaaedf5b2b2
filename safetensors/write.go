package safetensors

import (
	"io"
	"slices"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	format "github.com/nlpodyssey/safetensors"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// Tensor is a named tensor.
type Tensor struct {
	Name  string
	Value *tensor.Dense
	// As is the encoding of the stored numbers, which are rounded to the
	// nearest; empty means the encoding of the tensor's own type.
	As Encoding
	// Stored, instead of Value, gives the bytes as they are to be stored in the
	// encoding As, which may also be one of integers.
	Stored *Stored
}

// Stored is a tensor of which only the stored bytes are known.
type Stored struct {
	Shape []int
	// Bytes returns the bytes, in row-major order and little-endian. It is called
	// once, when they are written, so that a file may be larger than memory.
	Bytes func() ([]byte, error)
}

// shape is that of the tensor.
func (t Tensor) shape() tensor.Shape {
	if t.Stored != nil {
		return t.Stored.Shape
	}
	return t.Value.Shape()
}

// encoding is As, or that of the tensor's own type.
func (t Tensor) encoding() Encoding {
	if t.As == "" {
		return EncodingOf(t.Value.Dtype())
	}
	return t.As
}

// Bytes returns the size of the numbers as they are stored.
func (t Tensor) Bytes() int64 {
	traits, _ := traitsOf(t.encoding())
	return int64(t.shape().TotalSize()) * int64(traits.width)
}

// Finite reports whether all numbers of Value are finite as they are stored.
func (t Tensor) Finite() bool { return t.Stored != nil || t.encoding().Holds(t.Value) }

// WriteFile writes tensors of float32 or float64, of any shape that has
// elements, and stored bytes, to a file, in the order in which the official library
// writes them: the widest numbers first, then by name. The same tensors and metadata, in any order,
// give the same bytes. An existing file is replaced atomically: after an error
// it is unchanged.
//
// WriteFile returns an error if a name is not UTF-8, is "__metadata__" or
// occurs twice, or if a tensor has another type or is a view that is not
// contiguous.
func WriteFile(path string, tensors []Tensor, metadata map[string]string) error {
	return write(path, tensors, metadata, files.WriteFile)
}

// WriteSummed is like WriteFile, and records the file's SHA-256 in
// checksums.sha256 in the same folder, which reading verifies.
func WriteSummed(path string, tensors []Tensor, metadata map[string]string) error {
	return write(path, tensors, metadata, files.WriteSummed)
}

func write(path string, tensors []Tensor, metadata map[string]string, put func(path string, write func(w io.Writer) error) error) error {
	views, failed := make(map[string]view, len(tensors)), error(nil)
	for _, t := range tensors {
		_, twice := views[t.Name]
		if err := writable(t, twice); err != nil {
			return errors.Wrapf(err, "safetensors: writing %s", path)
		}
		views[t.Name] = view{t, &failed}
	}
	for key, value := range metadata {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return errors.Errorf("safetensors: writing %s: the metadata %q: %q is not UTF-8", path, key, value)
		}
	}
	return errors.Wrap(put(path, func(w io.Writer) error {
		if err := format.SerializeToWriter(views, metadata, w); failed == nil {
			return err
		}
		return failed
	}), "safetensors")
}

func writable(t Tensor, twice bool) error {
	switch {
	case t.Name == metadataKey || !utf8.ValidString(t.Name):
		return errors.Errorf("%q cannot be the name of a tensor", t.Name)
	case twice:
		return errors.Errorf("there are two tensors with the name %q", t.Name)
	case t.Stored != nil:
		return storable(t)
	case t.Value == nil:
		return errors.Errorf("tensor %q is nil", t.Name)
	case t.Value.Dtype() != tensor.Float32 && t.Value.Dtype() != tensor.Float64:
		return errors.Errorf("tensor %q is of %v; only float32 and float64 can be written", t.Name, t.Value.Dtype())
	case !t.Value.IsNativelyAccessible() || !t.Value.DataOrder().IsRowMajor() || t.Value.RequiresIterator():
		return errors.Errorf("tensor %q does not lie row after row in memory; write a materialised copy of it", t.Name)
	case !t.encoding().Known():
		return errors.Errorf("tensor %q is to be stored as %q; there are F64, F32, F16 and BF16", t.Name, string(t.As))
	case slices.Contains(t.Value.Shape(), 0):
		return errors.Errorf("tensor %q has shape %v, without elements", t.Name, t.Value.Shape())
	}
	return nil
}

// storable is writable for a tensor of which only the bytes are known.
func storable(t Tensor) error {
	if _, known := traitsOf(t.As); !known {
		return errors.Errorf("tensor %q is stored as %q; there are F64, F32, F16, BF16, I8 and U8", t.Name, string(t.As))
	}
	if slices.ContainsFunc(t.Stored.Shape, func(n int) bool { return n < 1 }) {
		return errors.Errorf("tensor %q has shape %v, without elements", t.Name, t.Stored.Shape)
	}
	return nil
}

// view is a tensor as the safetensors library takes it. Its bytes are made when
// it is its turn to be written.
type view struct {
	Tensor
	failed *error // the first of making bytes, after which none are made
}

func (v view) DType() format.DType {
	traits, _ := traitsOf(v.encoding())
	return traits.dtype
}

func (v view) Shape() []uint64 {
	shape := []uint64{} // not nil, which would be written as null
	for _, n := range v.shape() {
		shape = append(shape, uint64(n))
	}
	return shape
}

func (v view) DataLen() uint64 { return uint64(v.Tensor.Bytes()) }

func (v view) Data() []byte {
	if v.Stored == nil {
		return encode(v.Value, v.encoding())
	}
	if *v.failed != nil {
		return nil
	}
	b, err := v.Stored.Bytes()
	if err == nil && uint64(len(b)) != v.DataLen() {
		err = errors.Errorf("%d bytes for a tensor of shape %v and type %s", len(b), v.Stored.Shape, v.As)
	}
	*v.failed = errors.Wrapf(err, "tensor %q", v.Name)
	return b
}
