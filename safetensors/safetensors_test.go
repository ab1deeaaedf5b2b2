package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/golden"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/tensor"
)

// someTensors are tensors of both types and of odd shapes, with odd numbers.
func someTensors() []Tensor {
	f32 := []float32{1, -2.5, float32(math.Inf(1)), math.Float32frombits(0x7fc00123), math.SmallestNonzeroFloat32, float32(math.Copysign(0, -1))}
	f64 := []float64{math.Pi, math.NaN(), math.Inf(-1), math.MaxFloat64, 5e-324, 0}
	return []Tensor{
		{Name: "exp_avg.xlstm_block_stack.blocks.0.xlstm.q_proj.weight", Value: tensor.New(tensor.WithShape(3, 2), tensor.WithBacking(f32))},
		{Name: "b", Value: tensor.New(tensor.WithShape(1, 6, 1), tensor.WithBacking(f64))},
		{Name: "scalar", Value: tensor.New(tensor.FromScalar(float32(7)))},
		{Name: "one", Value: tensor.New(tensor.WithShape(1), tensor.WithBacking([]float64{8}))},
		{Name: "<größe & \"rand\">", Value: tensor.New(tensor.WithShape(2), tensor.WithBacking([]float32{9, 10}))},
	}
}

func someMetadata() map[string]string {
	return map[string]string{"format": "pt", "step": "12", "": "leer", "ü": "\n\"<&"}
}

// bits returns type, shape and numbers, bit by bit.
func bits(p Tensor) string { return testutil.Bits(p.Value.Shape(), p.Value.Data()) }

func writeTensors(t testing.TB, tensors []Tensor, metadata map[string]string) (path string, raw []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "x.safetensors")
	if err := WriteFile(path, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, raw
}

func readBytes(raw []byte) ([]Tensor, map[string]string, error) {
	return readSized(raw, int64(len(raw)))
}

// readSized reads what is said to be size bytes.
func readSized(raw []byte, size int64) ([]Tensor, map[string]string, error) {
	entries, metadata, err := ReadHeader(bytes.NewReader(raw), size)
	var tensors []Tensor
	for _, e := range entries {
		t := tensor.New(tensor.Of(e.Encoding.dtype()), tensor.WithShape(e.Shape...))
		if err := e.ReadInto(t); err != nil {
			return nil, nil, err
		}
		tensors = append(tensors, Tensor{Name: e.Name, Value: t})
	}
	return tensors, metadata, err
}

// file returns a safetensors file with this header and so many bytes of data.
func file(header string, data int) []byte {
	raw := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(raw, header...), make([]byte, data)...)
}

func TestTensorsSurviveBitForBit(t *testing.T) {
	path, raw := writeTensors(t, someTensors(), someMetadata())
	got, metadata, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(metadata, someMetadata()) {
		t.Errorf("metadata %q", metadata)
	}
	want := make(map[string]string)
	for _, p := range someTensors() {
		want[p.Name] = bits(p)
	}
	for _, p := range got {
		if bits(p) != want[p.Name] {
			t.Errorf("%s: %s, want %s", p.Name, bits(p), want[p.Name])
		}
		delete(want, p.Name)
	}
	if len(want) > 0 {
		t.Errorf("%v are lost", want)
	}
	slices.Reverse(got)
	if _, again := writeTensors(t, got, metadata); !bytes.Equal(raw, again) {
		t.Error("what was read and written again, in another order, is another file")
	}
}

// TestTensorsLieAsTheOfficialLibraryPutsThem: wide types first, then by name, in
// a header of whole words.
func TestTensorsLieAsTheOfficialLibraryPutsThem(t *testing.T) {
	path, raw := writeTensors(t, someTensors(), nil)
	got, metadata, err := ReadFile(path)
	if err != nil || metadata != nil {
		t.Fatal(metadata, err)
	}
	var names []string
	for _, p := range got {
		names = append(names, p.Name)
	}
	s := someTensors()
	if want := []string{s[1].Name, s[3].Name, s[4].Name, s[0].Name, s[2].Name}; !slices.Equal(names, want) {
		t.Errorf("the order is %q, want %q", names, want)
	}
	if n := binary.LittleEndian.Uint64(raw); n%8 != 0 {
		t.Errorf("the header is of %d bytes", n)
	}
	others, err := golden.Read(path)
	if err != nil || len(others) != len(s) || others["scalar"].Data[0] != 7 {
		t.Errorf("another reader has %v: %v", others, err)
	}
}

// TestOfficialFilesAreReproduced: files of the official library, read and
// written, are the same bytes.
func TestOfficialFilesAreReproduced(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("../testdata/golden", "v1_*", "*[gsd].safetensors"))
	if err != nil || len(paths) < 5 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tensors, metadata, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, again := writeTensors(t, tensors, metadata); !bytes.Equal(raw, again) {
			t.Errorf("%s becomes another file", path)
		}
	}
}

// TestEmptyFileOfTensors: no tensor is a file too.
func TestEmptyFileOfTensors(t *testing.T) {
	path, _ := writeTensors(t, nil, nil)
	if got, metadata, err := ReadFile(path); err != nil || len(got) != 0 || metadata != nil {
		t.Error(got, metadata, err)
	}
}

func TestHalvesAreWidenedExactly(t *testing.T) {
	for h := range 1 << 16 {
		sign, exponent, fraction := 1-2*float64(h>>15), h>>10&31, float64(h&1023)
		want := sign * math.Ldexp(1+fraction/1024, exponent-15)
		switch {
		case exponent == 0:
			want = math.Copysign(math.Ldexp(fraction/1024, -14), sign)
		case exponent == 31 && fraction == 0:
			want = math.Inf(int(sign))
		case exponent == 31:
			want = math.NaN()
		}
		got := float64(fromFloat16(uint16(h)))
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) || math.Signbit(got) != (h>>15 == 1) {
			t.Fatalf("%#x is %v, want %v", h, got, want)
		}
	}
	raw := file(`{"b":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"h":{"dtype":"F16","shape":[1,2],"data_offsets":[4,8]}}`, 0)
	raw = append(raw, 0x49, 0x40, 0x80, 0xff, 0x00, 0x3c, 0x01, 0x80)
	got, _, err := readBytes(raw)
	if err != nil {
		t.Fatal(err)
	}
	if b, h := got[0].Value.Float32s(), got[1].Value.Float32s(); b[0] != 3.140625 || !math.IsInf(float64(b[1]), -1) || h[0] != 1 || h[1] != -0x1p-24 {
		t.Error(b, h)
	}
}

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	fine := tensor.New(tensor.WithShape(2, 2), tensor.WithBacking([]float32{1, 2, 3, 4}))
	column, err := fine.Slice(nil, tensor.S(1))
	if err != nil {
		t.Fatal(err)
	}
	turned := fine.Clone().(*tensor.Dense)
	if err := turned.T(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tensors []Tensor
		says    string
	}{
		{[]Tensor{{Name: "a", Value: fine}, {Name: "a", Value: fine}}, `two tensors with the name "a"`},
		{[]Tensor{{Name: "__metadata__", Value: fine}}, "name"},
		{[]Tensor{{Name: "\xff", Value: fine}}, "name"},
		{[]Tensor{{Name: "a"}}, "nil"},
		{[]Tensor{{Name: "a", Value: tensor.New(tensor.WithBacking([]int{1}))}}, "int"},
		{[]Tensor{{Name: "a", Value: column.(*tensor.Dense)}}, "row after row"},
		{[]Tensor{{Name: "a", Value: turned}}, "row after row"},
		{[]Tensor{{Name: "a", Value: tensor.New(tensor.WithShape(2, 2), tensor.AsFortran([]float32{1, 2, 3, 4}))}}, "row after row"},
	} {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, []byte("old"), 0o666); err != nil {
			t.Fatal(err)
		}
		testutil.WantError(t, WriteFile(path, c.tensors, nil), path, c.says)
		if raw, err := os.ReadFile(path); err != nil || string(raw) != "old" {
			t.Errorf("the old file holds %q: %v", raw, err)
		}
	}
	testutil.WantError(t, WriteFile("x", nil, map[string]string{"a": "\xff"}), "x", "metadata", "UTF-8")
	path := filepath.Join(t.TempDir(), "no", "x")
	testutil.WantError(t, WriteFile(path, nil, nil), path)
}

// TestEveryTruncationIsAnError, and so is a byte too much.
func TestEveryTruncationIsAnError(t *testing.T) {
	_, raw := writeTensors(t, someTensors(), someMetadata())
	for n := range raw {
		if _, _, err := readBytes(raw[:n]); err == nil {
			t.Errorf("the first %d bytes of %d are read", n, len(raw))
		}
	}
	if _, _, err := readBytes(append(raw, 0)); err == nil {
		t.Error("a byte too much is read over")
	}
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, raw[:len(raw)-1], 0o666); err != nil {
		t.Fatal(err)
	}
	_, _, err := ReadFile(path)
	testutil.WantError(t, err, path, "cut short")
}

// TestEveryFlippedBitOfAHeader gives an error, or tensors of the same total size
// in at most the same number of bytes.
func TestEveryFlippedBitOfAHeader(t *testing.T) {
	_, raw := writeTensors(t, someTensors(), someMetadata())
	header := 8 + int(binary.LittleEndian.Uint64(raw))
	read := 0
	for i := range 8 * header {
		flipped := bytes.Clone(raw)
		flipped[i/8] ^= 1 << (i % 8)
		tensors, _, err := readBytes(flipped)
		if err != nil {
			continue
		}
		read++
		var shapes, want []string
		for _, p := range tensors {
			shapes = append(shapes, fmt.Sprint(p.Value.Dtype(), p.Value.Shape()))
		}
		for _, p := range someTensors() {
			want = append(want, fmt.Sprint(p.Value.Dtype(), p.Value.Shape()))
		}
		slices.Sort(shapes)
		slices.Sort(want)
		if !reflect.DeepEqual(shapes, want) {
			t.Errorf("bit %d: shapes %v, want %v", i, shapes, want)
		}
	}
	if read == 0 || read > 4*header {
		t.Errorf("%d of %d are read, which is hardly right", read, 8*header)
	}
}

// foreign are files that are wrong, with what the error must say.
var foreign = []struct {
	name string
	raw  []byte
	says string
}{
	{"empty", nil, "cut short"},
	{"text", []byte("PK\x03\x04 this is something else"), "not a safetensors file"},
	{"huge header", binary.LittleEndian.AppendUint64(nil, 1<<62), "header would take"},
	{"largest header", append(bytes.Repeat([]byte{255}, 8), "{}"...), "header would take"},
	{"no object", file(`[]`, 0), "JSON object"},
	{"no JSON", file(`{"a"`, 0), "header"},
	{"not closed", file(`{`, 0), "header"},
	{"more behind", file(`{} {}`, 0), "more follows"},
	{"not UTF-8", file("{\"\xff\":1}", 0), "UTF-8"},
	{"no entry", file(`{"a":7}`, 0), `"a"`},
	{"null", file(`{"a":null}`, 0), `"a"`},
	{"metadata", file(`{"__metadata__":{"a":7}}`, 0), "__metadata__"},
	{"two metadata", file(`{"__metadata__":{},"__metadata__":{}}`, 0), "two entries"},
	{"two names", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), `two entries with the name "a"`},
	{"escaped twin", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), `two entries with the name "a"`},
	{"overlap", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12), `tensor "b" begins at byte 4`},
	{"same place", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), "begins at byte 0"},
	{"gap", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`, 12), `tensor "b" begins at byte 8`},
	{"late begin", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), "begins at byte 4"},
	{"data left over", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 8), "take 4 bytes, but 8"},
	{"data for no tensor", file(`{}`, 8), "take 0 bytes, but 8"},
	{"beyond the end", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 4), `"a"`},
	{"backward", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4), "from byte 4 to 0"},
	{"around the end", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551614,2]}}`, 4), "from byte 18446744073709551614 to 2"},
	{"huge tensor", file(`{"a":{"dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,9223372036854775808]}}`, 8), "takes more than"},
	{"product overflows", file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}`, 0), "takes more than"},
	{"bytes overflow", file(`{"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}`, 4), "takes more than"},
	{"no elements", file(`{"a":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]}}`, 0), "no elements"},
	{"shape and place", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 4), `"a"`},
	{"type and place", file(`{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,4]}}`, 4), `"a"`},
	{"negative", file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}`, 4), "shape"},
	{"not whole", file(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`, 4), "shape"},
	{"null shape", file(`{"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}`, 4), "shape"},
	{"three places", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}`, 4), "data_offsets"},
	{"no place", file(`{"a":{"dtype":"F32","shape":[1]}}`, 4), "data_offsets"},
	{"a field more", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, 4), `"a"`},
	{"other case", file(`{"a":{"DTYPE":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), "dtype"},
	{"integers", file(`{"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`, 8), `"ids"`},
	{"integers' type", file(`{"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}`, 8), `"I64"; only F64, F32, F16 and BF16`},
	{"many dimensions", file(`{"a":{"dtype":"F32","shape":[1`+strings.Repeat(",1", 100)+`],"data_offsets":[0,4]}}`, 4), "shape"},
	{"deep", file(`{"a":`+strings.Repeat("[", 20000), 0), "header"},
	{"long name", file(`{"`+strings.Repeat("a", 20000)+`":1}`, 0), "header"},
}

func TestForeignFilesAreErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	for _, c := range foreign {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(path, c.raw, 0o666); err != nil {
				t.Fatal(err)
			}
			tensors, metadata, err := ReadFile(path)
			testutil.WantError(t, err, path, c.says)
			if tensors != nil || metadata != nil {
				t.Error("there is a result beside the error")
			}
		})
	}
	dir := t.TempDir()
	_, _, err := ReadFile(dir)
	testutil.WantError(t, err, dir)
	_, _, err = ReadFile(filepath.Join(dir, "no"))
	testutil.WantError(t, err, filepath.Join(dir, "no"))
}

// TestHeadersAreNotTakenAtTheirWord: claims of gigabytes take no memory.
func TestHeadersAreNotTakenAtTheirWord(t *testing.T) {
	claims := [][]byte{
		append(binary.LittleEndian.AppendUint64(nil, maxHeader), "{}"...),
		file(`{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}`, 4),
		file(`{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4]}}`, 4),
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, raw := range claims {
		if _, _, err := readBytes(raw); err == nil {
			t.Error("it is read")
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("it took %d bytes of memory", took)
	}
}

// TestFileThatShrinksIsAnError: its size is asked before it is read.
func TestFileThatShrinksIsAnError(t *testing.T) {
	_, raw := writeTensors(t, someTensors(), nil)
	for n := range raw {
		if _, _, err := readSized(raw[:n], int64(len(raw))); err == nil {
			t.Errorf("%d bytes of %d are read", n, len(raw))
		}
	}
}

// FuzzReadTensors: foreign bytes give an error or tensors that fill the bytes,
// and these can be written and read again.
func FuzzReadFile(f *testing.F) {
	_, raw := writeTensors(f, someTensors(), someMetadata())
	f.Add(raw)
	for _, c := range foreign {
		f.Add(c.raw)
	}
	f.Add(file(`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[],"data_offsets":[4,6]}}`, 6))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tensors, metadata, err := readBytes(raw)
		if err != nil {
			return
		}
		var want []string
		size := 0
		for _, p := range tensors {
			want = append(want, p.Name+" "+bits(p))
			size += p.Value.Shape().TotalSize()
		}
		if size > len(raw)/2 {
			t.Fatalf("%d numbers out of %d bytes", size, len(raw))
		}
		path, _ := writeTensors(t, tensors, metadata)
		again, _, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range again {
			got = append(got, p.Name+" "+bits(p))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q became %q", want, got)
		}
	})
}

// TestStoredBytesSurvive: integers, and numbers of which only the bytes are known,
// beside tensors; the widest come first.
func TestStoredBytesSurvive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	stored := func(name string, as Encoding, b ...byte) Tensor {
		return Tensor{Name: name, As: as, Stored: &Stored{Shape: []int{2, len(b) / 2 / map[Encoding]int{I8: 1, U8: 1, BF16: 2}[as]}, Bytes: func() ([]byte, error) { return b, nil }}}
	}
	value := tensor.New(tensor.WithShape(1), tensor.WithBacking([]float32{1}))
	list := []Tensor{stored("a", I8, 1, 255, 3, 4), stored("b", U8, 9, 8), stored("c", BF16, 0x80, 0x3f, 0, 0), {Name: "d", Value: value}}
	if err := WriteFile(path, list, nil); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	for _, e := range f.Entries {
		names = append(names, e.Name)
		b, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		for _, was := range list {
			if was.Name == e.Name && was.Stored != nil {
				want, _ := was.Stored.Bytes()
				if e.Encoding != was.As || !slices.Equal(e.Shape, was.Stored.Shape) || !slices.Equal(b, want) {
					t.Errorf("%s is %s of %v: %v", e.Name, e.Encoding, e.Shape, b)
				}
			}
		}
	}
	if got := strings.Join(names, " "); got != "d c b a" && got != "d c a b" {
		t.Errorf("the order is %s", got)
	}
	if _, _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "I8") && !strings.Contains(err.Error(), "U8") {
		t.Errorf("integers are read as numbers: %v", err)
	}
}

// TestStoredBytesThatFailLeaveNoFile: an error of making them, or a wrong number of
// them, ends the writing.
func TestStoredBytesThatFailLeaveNoFile(t *testing.T) {
	for want, s := range map[string]Tensor{
		"broken":     {As: I8, Stored: &Stored{Shape: []int{2}, Bytes: func() ([]byte, error) { return nil, errors.New("broken") }}},
		"3 bytes":    {As: I8, Stored: &Stored{Shape: []int{2}, Bytes: func() ([]byte, error) { return make([]byte, 3), nil }}},
		"no elem":    {As: I8, Stored: &Stored{Shape: []int{0}}},
		`as "I4"`:    {As: "I4", Stored: &Stored{Shape: []int{2}}},
		"cannot be ": {Name: "__metadata__", As: I8, Stored: &Stored{Shape: []int{2}}},
	} {
		path := filepath.Join(t.TempDir(), "x.safetensors")
		if s.Name == "" {
			s.Name = "x"
		}
		err := WriteFile(path, []Tensor{s}, nil)
		if want == "no elem" {
			want = "without elements"
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file is there", want)
		}
	}
}
