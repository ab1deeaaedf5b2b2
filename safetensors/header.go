package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/pkg/errors"
)

// metadataKey is what a safetensors file calls its metadata; no tensor can have
// that name.
const metadataKey = "__metadata__"

// maxHeader is the format's bound on the length of a header, in bytes.
const maxHeader = 100_000_000

// MaxDims is the maximum number of dimensions of a tensor that can be read;
// PyTorch has the same limit.
const MaxDims = 64

// readHeader reads the header of a file of size bytes and checks that the tensors
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

// checkLayout sorts entries by their place and checks that they fill size bytes,
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
	if len(fields) != 3 || shape == nil || len(shape) > MaxDims || len(offsets) != 2 {
		return e, errors.New("it is not made of a dtype, a shape and two data_offsets")
	}
	traits, known := traitsOf(e.encoding)
	if !known {
		return e, errors.Errorf("it is of dtype %.20q; only F64, F32, F16 and BF16, and I8 and U8 for packed weights, can be read", string(e.encoding))
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
