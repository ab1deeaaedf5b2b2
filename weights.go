package xlstm

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/gorgonia-xlstm/xlstm/layers"
	"github.com/nlpodyssey/safetensors"
	"github.com/pkg/errors"
	"gorgonia.org/tensor"
)

// metadataKey is what a safetensors file calls its metadata; no tensor can have
// that name.
const metadataKey = "__metadata__"

// maxHeader is the format's bound on the length of a header, in bytes.
const maxHeader = 100_000_000

// maxDims bounds the dimensions of a tensor that is read; PyTorch has the same
// bound.
const maxDims = 64

// WriteTensors writes tensors of float32 or float64, of any shape that has
// elements, to a safetensors file, in the order in which the official library
// writes them: float64 first, then by name. The same tensors and metadata, in
// whatever order, make the same bytes. The file is replaced as a whole: after an
// error the old one is there as it was.
//
// It is an error if a name is not UTF-8, "__metadata__" or there twice,
// or if a tensor is of another type or a view that is not contiguous.
func WriteTensors(path string, tensors []layers.Param, metadata map[string]string) error {
	return writeEncoded(path, inOwnEncoding(tensors), metadata, files.WriteFile)
}

// inOwnEncoding returns tensors to be stored so that every number is kept.
func inOwnEncoding(tensors []layers.Param) []encodedTensor {
	var encoded []encodedTensor
	for _, p := range tensors {
		e := encodedTensor{Param: p}
		if p.Value != nil {
			e.as = encodingOf(p.Value.Dtype())
		}
		encoded = append(encoded, e)
	}
	return encoded
}

// encodedTensor is a tensor and how it is to be stored.
type encodedTensor struct {
	layers.Param
	as Encoding
}

// writeFunc puts a file in place: files.WriteFile or files.WriteSummed.
type writeFunc func(path string, write func(w io.Writer) error) error

// writeEncoded is WriteTensors with an encoding for each tensor.
func writeEncoded(path string, tensors []encodedTensor, metadata map[string]string, put writeFunc) error {
	views := make(map[string]view, len(tensors))
	for _, p := range tensors {
		_, twice := views[p.Name]
		if err := writable(p.Param, twice); err != nil {
			return errors.Wrapf(err, "xlstm: writing %s", path)
		}
		views[p.Name] = view{p.Value, p.as}
	}
	for key, value := range metadata {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return errors.Errorf("xlstm: writing %s: the metadata %q: %q is not UTF-8", path, key, value)
		}
	}
	return errors.Wrap(put(path, func(w io.Writer) error {
		return safetensors.SerializeToWriter(views, metadata, w)
	}), "xlstm")
}

func writable(p layers.Param, twice bool) error {
	switch {
	case p.Name == metadataKey || !utf8.ValidString(p.Name):
		return errors.Errorf("%q cannot be the name of a tensor", p.Name)
	case twice:
		return errors.Errorf("there are two tensors with the name %q", p.Name)
	case p.Value == nil:
		return errors.Errorf("tensor %q is nil", p.Name)
	case p.Value.Dtype() != tensor.Float32 && p.Value.Dtype() != tensor.Float64:
		return errors.Errorf("tensor %q is of %v; only float32 and float64 can be written", p.Name, p.Value.Dtype())
	case !p.Value.IsNativelyAccessible() || !p.Value.DataOrder().IsRowMajor() || p.Value.RequiresIterator():
		return errors.Errorf("tensor %q does not lie row after row in memory; write a materialised copy of it", p.Name)
	case slices.Contains(p.Value.Shape(), 0):
		return errors.Errorf("tensor %q has shape %v, without elements", p.Name, p.Value.Shape())
	}
	return nil
}

// view is a tensor as the safetensors library takes it. Its bytes are made when
// it is its turn to be written.
type view struct {
	t  *tensor.Dense
	as Encoding
}

func (v view) DType() safetensors.DType { return encodings[v.as].dtype }

func (v view) Shape() []uint64 {
	shape := []uint64{} // not nil, which would be written as null
	for _, n := range v.t.Shape() {
		shape = append(shape, uint64(n))
	}
	return shape
}

func (v view) DataLen() uint64 { return uint64(v.t.Shape().TotalSize()) * v.DType().Size() }

func (v view) Data() []byte { return encode(v.t, v.as) }

// ReadTensors reads a safetensors file: its tensors in the order in which they
// lie in the file, and its metadata, nil if it has none. Tensors of F64 become
// float64, those of F32, F16 and BF16 float32; every number is kept exactly.
//
// A file that is cut short, is not a safetensors file, contradicts itself, or
// holds a tensor of another type or without elements is an error, which names
// the file. Memory is taken for what the file really holds, whatever its header
// says.
func ReadTensors(path string) ([]layers.Param, map[string]string, error) {
	f, size, err := openFile(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	tensors, metadata, err := readTensors(bufio.NewReader(f), size)
	return tensors, metadata, errors.Wrapf(err, "xlstm: reading tensors from %s", path)
}

// openFile opens a file to read tensors from and returns its size. A file whose
// checksum is listed beside it must have that checksum.
func openFile(path string) (*os.File, int64, error) {
	f, size, err := files.Open(path, files.AnySize)
	if err != nil {
		return nil, 0, errors.Wrap(err, "xlstm: reading tensors")
	}
	if err := files.Verify(path); err != nil {
		f.Close()
		return nil, 0, errors.Wrap(err, "xlstm: reading tensors")
	}
	return f, size, nil
}

// readTensors reads a safetensors file of size bytes.
func readTensors(r io.Reader, size int64) ([]layers.Param, map[string]string, error) {
	entries, metadata, err := readHeader(r, size)
	if err != nil {
		return nil, nil, err
	}
	var tensors []layers.Param
	for _, e := range entries {
		t, err := e.read(r)
		if err != nil {
			return nil, nil, errors.Wrapf(err, "tensor %.200q", e.name)
		}
		tensors = append(tensors, layers.Param{Name: e.name, Value: t})
	}
	return tensors, metadata, nil
}

// readHeader reads the header of a file of size bytes and sees that the tensors
// it lists, which are returned in their order in the file, fill the rest exactly.
func readHeader(r io.Reader, size int64) ([]entry, map[string]string, error) {
	var prefix [8]byte
	if size < int64(len(prefix)) {
		return nil, nil, errors.Errorf("it has %d bytes and is cut short, or is not a safetensors file", size)
	}
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, nil, err
	}
	n, rest := binary.LittleEndian.Uint64(prefix[:]), uint64(size)-8
	if n > rest || n > maxHeader {
		return nil, nil, errors.Errorf("its header would take %d bytes of the file's %d; it is cut short, or is not a safetensors file", n, size)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, nil, err
	}
	entries, metadata, err := parseHeader(header, rest-n)
	if err != nil {
		return nil, nil, err
	}
	return entries, metadata, checkLayout(entries, rest-n)
}

// checkLayout sorts entries by their place and sees that they fill size bytes,
// without gap or overlap.
func checkLayout(entries []entry, size uint64) error {
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.begin, b.begin) })
	at := uint64(0)
	for _, e := range entries {
		if e.begin != at {
			return errors.Errorf("tensor %.200q begins at byte %d of the data, but the one before ends at %d; the file is damaged", e.name, e.begin, at)
		}
		at = e.end
	}
	if at != size {
		return errors.Errorf("its tensors take %d bytes, but %d follow the header; it is cut short or damaged", at, size)
	}
	return nil
}

// parseHeader reads the JSON of a header in front of size bytes of data.
func parseHeader(header []byte, size uint64) (entries []entry, metadata map[string]string, err error) {
	const wrong = "its header is not that of a safetensors file"
	if !utf8.Valid(header) {
		return nil, nil, errors.New(wrong + ": it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(header))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, nil, errors.New(wrong + ": it is not a JSON object")
	}
	seen := make(map[string]bool)
	for d.More() {
		// Key by key, since a map would swallow a name that is there twice.
		key, err := d.Token()
		if err != nil {
			return nil, nil, errors.Wrap(err, wrong)
		}
		name, _ := key.(string)
		if seen[name] {
			return nil, nil, errors.Errorf("it has two entries with the name %.200q", name)
		}
		seen[name] = true
		if name == metadataKey {
			err = d.Decode(&metadata)
		} else {
			var e entry
			e, err = parseEntry(d, name, size)
			entries = append(entries, e)
		}
		if err != nil {
			return nil, nil, errors.Wrapf(err, "the header's entry %.200q", name)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, errors.Wrap(err, wrong)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, errors.New(wrong + ": more follows its JSON object")
	}
	return entries, metadata, nil
}

// entry is what a header says of a tensor.
type entry struct {
	name       string
	encoding   Encoding
	shape      []int
	begin, end uint64 // in the data behind the header
}

// parseEntry reads the next value of d, which describes a tensor within size
// bytes of data.
func parseEntry(d *json.Decoder, name string, size uint64) (entry, error) {
	e := entry{name: name}
	var fields map[string]json.RawMessage
	var shape, offsets []uint64
	if err := d.Decode(&fields); err != nil {
		return e, err
	}
	for _, f := range []struct {
		name string
		dst  any
	}{{"dtype", &e.encoding}, {"shape", &shape}, {"data_offsets", &offsets}} {
		if err := json.Unmarshal(fields[f.name], f.dst); err != nil {
			return e, errors.Errorf("its %s is %.40q, which makes no sense", f.name, fields[f.name])
		}
	}
	if len(fields) != 3 || shape == nil || len(shape) > maxDims || len(offsets) != 2 {
		return e, errors.New("it is not made of a dtype, a shape and two data_offsets")
	}
	traits, known := encodings[e.encoding]
	if !known {
		return e, errors.Errorf("it is of dtype %.20q; only F64, F32, F16 and BF16 can be read", string(e.encoding))
	}
	take := uint64(traits.width)
	for _, n := range shape {
		// Before the product is taken, for it may overflow.
		switch {
		case n == 0:
			return e, errors.Errorf("its shape %d has no elements", shape)
		case n > min(size, math.MaxInt)/take:
			return e, errors.Errorf("its shape %d takes more than the %d bytes of data in the file, which is cut short or damaged", shape, size)
		}
		take *= n
		e.shape = append(e.shape, int(n))
	}
	e.begin, e.end = offsets[0], offsets[1]
	if e.begin > e.end || e.end-e.begin != take {
		return e, errors.Errorf("its place is from byte %d to %d of the data, but its shape %d takes %d bytes of %s", e.begin, e.end, shape, take, e.encoding)
	}
	return e, nil
}

// read reads the tensor, which is next in r.
func (e entry) read(r io.Reader) (*tensor.Dense, error) {
	if e.encoding == F64 {
		t := tensor.New(tensor.Of(tensor.Float64), tensor.WithShape(e.shape...))
		return t, readNumbers(t.Float64s(), r, F64)
	}
	t := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(e.shape...))
	return t, readNumbers(t.Float32s(), r, e.encoding)
}
