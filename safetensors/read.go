package safetensors

import (
	"bufio"
	"io"
	"os"
	"slices"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// ReadFile reads a file and returns its tensors in file order, and its
// metadata, nil if it has none. Tensors of F64 become float64, those of F32,
// F16 and BF16 float32; every number is kept exactly. Integers are an error.
//
// ReadFile returns an error that names the file if the file is truncated, is
// not a safetensors file, contradicts itself, or contains a tensor of another
// type or without elements. The memory allocated depends on the actual size of
// the file, not on its header.
func ReadFile(path string) ([]Tensor, map[string]string, error) {
	f, err := Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	var tensors []Tensor
	for _, e := range f.Entries {
		t := tensor.New(tensor.Of(e.Encoding.dtype()), tensor.WithShape(e.Shape...))
		if err := e.ReadInto(t); err != nil {
			return nil, nil, errors.Wrapf(err, "safetensors: reading %s", path)
		}
		tensors = append(tensors, Tensor{Name: e.Name, Value: t})
	}
	return tensors, f.Metadata, nil
}

// File is an open file whose header has been read.
type File struct {
	Entries  []Entry // in file order
	Metadata map[string]string
	f        *os.File
}

// Open opens a file and reads its header. The File must be closed. See ReadFile
// for errors. If a checksum of the file is listed in its folder, the file must
// have that checksum.
func Open(path string) (*File, error) {
	f, size, err := files.Open(path, files.AnySize)
	if err != nil {
		return nil, errors.Wrap(err, "safetensors")
	}
	file := &File{f: f}
	if err = files.Verify(path); err == nil {
		file.Entries, file.Metadata, err = ReadHeader(f, size)
	}
	if err != nil {
		f.Close()
		return nil, errors.Wrapf(err, "safetensors: reading %s", path)
	}
	return file, nil
}

// Close closes the file. Its entries can then no longer be read.
func (f *File) Close() error { return errors.Wrap(f.f.Close(), "safetensors") }

// ReadHeader returns the tensors of a file of size bytes that r reads, and its
// metadata.
func ReadHeader(r io.ReaderAt, size int64) ([]Entry, map[string]string, error) {
	listed, metadata, err := readHeader(bufio.NewReader(io.NewSectionReader(r, 0, size)), size)
	if err != nil {
		return nil, nil, err
	}
	data := size
	if n := len(listed); n > 0 {
		data -= int64(listed[n-1].end) // the tensors fill the rest of the file
	}
	var entries []Entry
	for _, e := range listed {
		entries = append(entries, Entry{
			Name: e.name, Encoding: e.encoding, Shape: e.shape,
			Data: io.NewSectionReader(r, data+int64(e.begin), int64(e.end-e.begin)),
		})
	}
	return entries, metadata, nil
}

// Entry is a tensor in a file. Its numbers stay in the file until they are
// read.
type Entry struct {
	Name     string
	Encoding Encoding
	Shape    []int
	Data     *io.SectionReader // the numbers as they are stored
}

// reader reads the numbers from the first on.
func (e Entry) reader() io.Reader { return io.NewSectionReader(e.Data, 0, e.Data.Size()) }

// ReadInto reads the tensor into t, which must have type float32 or float64 and
// the same size. Numbers are rounded to the type of t.
func (e Entry) ReadInto(t *tensor.Dense) error {
	if n := tensor.Shape(e.Shape).TotalSize(); t.Shape().TotalSize() != n {
		return errors.Errorf("tensor %.200q has %d numbers, not %d", e.Name, n, t.Shape().TotalSize())
	}
	var err error
	if t.Dtype() == tensor.Float64 {
		err = readNumbers(t.Float64s(), e.reader(), e.Encoding)
	} else {
		err = readNumbers(t.Float32s(), e.reader(), e.Encoding)
	}
	return errors.Wrapf(err, "tensor %.200q", e.Name)
}

// Each32 calls f with the numbers of the tensor, rounded to float32, in blocks of
// n, of which the last may be shorter.
func (e Entry) Each32(n int, f func(x []float32) error) error {
	r, left := e.reader(), tensor.Shape(e.Shape).TotalSize()
	for buf := make([]float32, min(n, left)); left > 0; left -= len(buf) {
		buf = buf[:min(left, len(buf))]
		if err := readNumbers(buf, r, e.Encoding); err != nil {
			return errors.Wrapf(err, "tensor %.200q", e.Name)
		}
		if err := f(buf); err != nil {
			return err
		}
	}
	return nil
}

// Bytes returns the tensor as it is stored.
func (e Entry) Bytes() ([]byte, error) {
	b := make([]byte, e.Data.Size())
	_, err := io.ReadFull(e.reader(), b)
	return b, errors.Wrapf(err, "tensor %.200q", e.Name)
}

// scanned is how many numbers are looked at at once.
const scanned = 1 << 14

// Each calls f with the numbers of the tensor, in blocks.
func (e Entry) Each(f func(x []float64) error) error {
	r, n := e.reader(), tensor.Shape(e.Shape).TotalSize()
	buf := make([]float64, min(n, scanned))
	for ; n > 0; n -= len(buf) {
		buf = buf[:min(n, len(buf))]
		if err := readNumbers(buf, r, e.Encoding); err != nil {
			return errors.Wrapf(err, "tensor %.200q", e.Name)
		}
		if err := f(buf); err != nil {
			return err
		}
	}
	return nil
}

// FiniteIn reports whether all numbers are finite in an encoding.
func (e Entry) FiniteIn(as Encoding) (bool, error) {
	finite := true
	err := e.Each(func(x []float64) error {
		finite = finite && allWithin(x, encodings[as].largest)
		return nil
	})
	return finite, err
}

// Equals reports whether two tensors have the same shape and numbers.
func (e Entry) Equals(other Entry) (bool, error) {
	if !slices.Equal(e.Shape, other.Shape) {
		return false, nil
	}
	r, same := other.reader(), true
	buf := make([]float64, scanned)
	err := e.Each(func(x []float64) error {
		if err := readNumbers(buf[:len(x)], r, other.Encoding); err != nil {
			return errors.Wrapf(err, "tensor %.200q", other.Name)
		}
		same = same && slices.Equal(x, buf[:len(x)])
		return nil
	})
	return same, err
}
