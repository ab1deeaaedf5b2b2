package pytorch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// The operations of a pickle, as PyTorch uses them.
func str(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}
func num(n int32) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
func tup(items ...string) string {
	return "(" + strings.Join(items, "") + "t"
}
func glob(module, name string) string { return "c" + module + "\n" + name + "\n" }
func stored(class, key string, n int32) string {
	return tup(str("storage"), glob("torch", class), str(key), str("cpu"), num(n)) + "Q"
}
func rebuilt(storage string, offset int32, shape, strides string) string {
	return glob("torch._utils", "_rebuild_tensor_v2") + tup(storage, num(offset), shape, strides, "\x89", glob("collections", "OrderedDict")+")R") + "R"
}
func vector(class, key string, n int32) string {
	return rebuilt(stored(class, key, n), 0, num(n)+"\x85", num(1)+"\x85")
}
func dictOf(pairs ...string) string { return "}(" + strings.Join(pairs, "") + "u" }

// file packs a pickle and storages as torch.save does.
func file(t testing.TB, pickle string, entries map[string]string) []byte {
	t.Helper()
	all := map[string]string{"x/data.pkl": "\x80\x02" + pickle + ".", "x/byteorder": "little"}
	for name, content := range entries {
		all["x/"+name] = content
	}
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, content := range all {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func read(raw []byte) ([]Tensor, error) { return Read(bytes.NewReader(raw), int64(len(raw))) }

// TestTensorsAreWhereTheyAreSaid, of every type, in whatever the state_dict is
// wrapped in.
func TestTensorsAreWhereTheyAreSaid(t *testing.T) {
	matrix := rebuilt(stored("FloatStorage", "0", 8), 2, num(3)+num(2)+"\x86", num(2)+num(1)+"\x86")
	parameter := glob("torch._utils", "_rebuild_parameter") + tup(vector("BFloat16Storage", "1", 3), "\x88", glob("collections", "OrderedDict")+")R") + "R"
	state := glob("collections", "OrderedDict") + ")R(" + str("module.a") + matrix + str("module.b") + parameter + "u" +
		"}" + str("_metadata") + glob("collections", "OrderedDict") + ")R" + "s" + "b"
	for _, pickle := range []string{
		state,
		dictOf(str("state_dict"), state, str("epoch"), num(3)),
		dictOf(str("optimizer"), dictOf(str("lr"), "G\x3f\xf0\x00\x00\x00\x00\x00\x00"), str("model"), state, str("args"), glob("argparse", "Namespace")+")\x81}"+str("x")+"Nsb"),
	} {
		raw := file(t, pickle, map[string]string{"data/0": strings.Repeat("0123", 8), "data/1": "ababab"})
		tensors, err := read(raw)
		if err != nil {
			t.Error(err)
			continue
		}
		slices.SortFunc(tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
		if len(tensors) != 2 || tensors[0].Name != "a" || tensors[1].Name != "b" {
			t.Fatalf("%+v", tensors)
		}
		a, b := tensors[0], tensors[1]
		if a.Type != "F32" || !slices.Equal(a.Shape, []int{3, 2}) || string(raw[a.Begin:a.End]) != strings.Repeat("0123", 6) {
			t.Errorf("%+v", a)
		}
		if b.Type != "BF16" || !slices.Equal(b.Shape, []int{3}) || string(raw[b.Begin:b.End]) != "ababab" {
			t.Errorf("%+v", b)
		}
	}
}

// TestWhatIsNoStateDictIsAnError that says what it is.
func TestWhatIsNoStateDictIsAnError(t *testing.T) {
	one := vector("FloatStorage", "0", 1)
	four := map[string]string{"data/0": "0123"}
	for _, c := range []struct {
		says    string
		pickle  string
		entries map[string]string
	}{
		{`an object of "posix.system"`, glob("posix", "system") + tup(str("touch hacked")) + "R", nil},
		{`an object of "xlstm.xLSTMLMModel"`, glob("xlstm", "xLSTMLMModel") + ")\x81}" + str("x") + one + "sb", four},
		{`an object of "builtins.eval"`, dictOf(str("a"), one, str("b"), glob("builtins", "eval")+tup(str("1"))+"R"), four},
		{"holds a tensor", one, four},
		{"no state_dict", dictOf(str("a"), num(1)), nil},
		{`"b" in the state_dict is a number`, dictOf(str("a"), one, str("b"), num(1)), four},
		{`"a" twice`, dictOf(str("a"), one, str("a"), one), four},
		{"a key of the state_dict is a number", dictOf(num(1), one), four},
		{`"x/data/0" is missing`, dictOf(str("a"), one), nil},
		{"not the 2 numbers", dictOf(str("a"), vector("FloatStorage", "0", 2)), four},
		{"not the 1 numbers", dictOf(str("a"), vector("DoubleStorage", "0", 1)), four},
		{"beyond the end of its storage", dictOf(str("a"), rebuilt(stored("FloatStorage", "0", 1), 1, num(1)+"\x85", num(1)+"\x85")), four},
		{"beyond the end of its storage", dictOf(str("a"), rebuilt(stored("FloatStorage", "0", 1), 0, num(1<<20)+num(1<<20)+num(1)+"\x87", num(1)+num(1)+num(1)+"\x87")), four},
		{"has the shape", dictOf(str("a"), rebuilt(stored("FloatStorage", "0", 1), 0, tup(num(1<<30), num(1<<30), num(1<<30)), tup(num(0), num(0), num(0)))), four},
		{"does not lie row after row", dictOf(str("a"), rebuilt(stored("FloatStorage", "0", 4), 0, num(2)+num(2)+"\x86", num(1)+num(2)+"\x86")), map[string]string{"data/0": strings.Repeat("0123", 4)}},
		{"not made of storage", dictOf(str("a"), rebuilt(stored("FloatStorage", "0", 1), -1, num(1)+"\x85", num(1)+"\x85")), four},
		{"not made of storage", dictOf(str("a"), rebuilt(stored("FloatStorage", "0", 1), 0, num(-1)+"\x85", num(1)+"\x85")), four},
		{"TorchScript", dictOf(str("a"), one), map[string]string{"data/0": "0123", "constants.pkl": "."}},
		{"only little", dictOf(str("a"), one), map[string]string{"data/0": "0123", "byteorder": "big"}},
		{"cut short", "X\xff\xff\xff\xff", nil},
		{"cut short", "\x8d\xff\xff\xff\xff\xff\xff\xff\xff", nil},
		{"nothing was remembered", "h\x07", nil},
		{"no value on the stack", "(a", nil},
		{"no mark", "]e", nil},
		{"a key has no value", "}(Nu", nil},
		{"number of 200 bytes", "\x8a\xc8" + strings.Repeat("1", 200), nil},
		{"none that PyTorch uses", "\xff", nil},
		{"none that PyTorch uses", "i" + "os\nsystem\n", nil},
		{"values on the stack", strings.Repeat("N", maxStack+1), nil},
		{"too many marks", strings.Repeat("(", maxStack+1), nil},
		{"a list", "]q\x00h\x00a", nil}, // that holds itself
	} {
		_, err := read(file(t, c.pickle, c.entries))
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v does not say %q", err, c.says)
		}
	}
}

// TestClaimsTakeNoMemory that the file does not account for: neither many
// tensors in one place, nor compressed entries, nor a pickle of any length.
func TestClaimsTakeNoMemory(t *testing.T) {
	var pairs []string
	for i := range 1000 {
		pairs = append(pairs, str(fmt.Sprint(i)), "h\x01")
	}
	alias := dictOf(str("a"), vector("FloatStorage", "0", 1<<18)+"q\x01") + "(" + strings.Join(pairs, "") + "u"
	_, err := read(file(t, alias, map[string]string{"data/0": strings.Repeat("\x00", 1<<20)}))
	if err == nil || !strings.Contains(err.Error(), "more than twice") {
		t.Errorf("a thousand tensors in one place: %v", err)
	}
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	w, err := z.Create("x/data.pkl")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte("N"), 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := read(buf.Bytes()); err == nil || !strings.Contains(err.Error(), "compressed") {
		t.Errorf("a compressed pickle: %v", err)
	}
	for _, flood := range []string{strings.Repeat("]q\x00", 1<<20), strings.Repeat("}", 1<<20), "]" + strings.Repeat("]a", 1<<20)} {
		raw := file(t, flood, nil)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := read(raw); err == nil {
			t.Error("a flood of values is a state_dict")
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 100*uint64(len(raw)) {
			t.Errorf("a pickle of %d bytes takes %d", len(raw), took)
		}
	}
	if _, err := read(file(t, strings.Repeat("N", maxPickle), nil)); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("a pickle of %d bytes: %v", maxPickle, err)
	}
}

// realFiles are what torch.save has written.
func realFiles(t testing.TB) (files [][]byte) {
	t.Helper()
	for _, pattern := range []string{"*.pt", "*.pth", "*.bin"} {
		paths, err := filepath.Glob(filepath.Join("..", "..", "testdata", "interchange", "*", pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for _, path := range paths {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, raw)
		}
	}
	return files
}

// TestEveryTruncationIsAnError of what torch.save has written.
func TestEveryTruncationIsAnError(t *testing.T) {
	for _, raw := range realFiles(t) {
		if tensors, err := read(raw); err != nil || len(tensors) == 0 {
			t.Error(err)
		}
		for n := 0; n < len(raw); n += 1 + n%97 {
			if _, err := read(raw[:n]); err == nil {
				t.Fatalf("%d of %d bytes are a file", n, len(raw))
			}
		}
	}
}

// FuzzRead: an error of one line, or tensors that are in the file and take no more
// than twice its size.
func FuzzRead(f *testing.F) {
	for _, raw := range realFiles(f) {
		f.Add(raw, []byte{})
		z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range z.File {
			if strings.HasSuffix(e.Name, "/data.pkl") {
				at, err := e.DataOffset()
				if err != nil {
					f.Fatal(err)
				}
				f.Add([]byte{}, raw[at:at+int64(e.UncompressedSize64)])
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw, pickle []byte) {
		if len(raw) == 0 {
			raw = file(t, string(pickle), map[string]string{"data/0": "01234567", "data/1": "01234567"})
		}
		tensors, err := read(raw)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q is not one sentence", err)
		}
		total := int64(0)
		for _, x := range tensors {
			if x.Begin < 0 || x.End < x.Begin || x.End > int64(len(raw)) {
				t.Errorf("%+v is not in %d bytes", x, len(raw))
			}
			total += x.End - x.Begin
		}
		if total > 2*int64(len(raw))+1 {
			t.Errorf("tensors of %d bytes in %d", total, len(raw))
		}
	})
}
