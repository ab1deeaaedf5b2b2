package cuda

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKernelsAreThoseThatPassed: testdata/passed.txt has the checksums of the kernels
// with which the tests passed on a card. Without a card, a kernel that has changed
// since then is an error. The machine code for 8.0 is of the same sources by the same
// compiler; the record is of cards that run that for 9.0.
func TestKernelsAreThoseThatPassed(t *testing.T) {
	record, err := os.ReadFile(filepath.Join("testdata", "passed.txt"))
	if err != nil {
		t.Fatal(err)
	}
	files := append(matches(t, "kernels/*.ptx.gz"), matches(t, "kernels/*.sm_90.cubin.gz")...)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(raw)
		line := hex.EncodeToString(sum[:]) + "  " + filepath.Base(file)
		if !bytes.Contains(record, []byte(line+"\n")) {
			t.Errorf("%s is not what passed on a card; run the tests on one and write the new checksum to testdata/passed.txt", file)
		}
	}
	for _, line := range strings.Split(string(record), "\n") {
		if name := strings.Fields(line); len(name) == 2 && strings.HasSuffix(name[1], ".gz") {
			if _, err := os.Stat(filepath.Join("kernels", name[1])); err != nil {
				t.Errorf("testdata/passed.txt names %s, which there is not", name[1])
			}
		}
	}
}

// matches returns the files of a pattern, of which there are many.
func matches(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < 20 {
		t.Fatalf("%d of %s, %v", len(files), pattern, err)
	}
	return files
}

// TestMachineCodeIsOfThePTX: the machine code of a module carries the checksum of the
// PTX beside which it was compiled, and every module in float32 that does not ask for
// PTX alone has machine code for the cards that can run it.
func TestMachineCodeIsOfThePTX(t *testing.T) {
	for _, file := range matches(t, "kernels/*.f32.ptx.gz") {
		raw, ptx, _ := unpacked(t, file)
		sum := sha256.Sum256(raw)
		source, err := os.ReadFile(strings.TrimSuffix(file, "f32.ptx.gz") + "cu")
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(source, []byte("\n//gen: PTX\n")) {
			if others, err := filepath.Glob(strings.TrimSuffix(file, "ptx.gz") + "*.cubin.gz"); err != nil || len(others) > 0 {
				t.Errorf("%v: %s asks for PTX alone; %v", others, file, err)
			}
			continue
		}
		cards := []string{"sm_80", "sm_90"}
		if bytes.Contains(ptx, []byte(".target sm_90")) {
			cards = cards[1:]
		}
		for _, card := range cards {
			name := strings.TrimSuffix(file, "ptx.gz") + card + ".cubin.gz"
			_, image, of := unpacked(t, name)
			if of != hex.EncodeToString(sum[:]) {
				t.Errorf("%s was not compiled with %s; run go generate", name, file)
			}
			if !bytes.HasPrefix(image, []byte("\x7fELF")) {
				t.Errorf("%s is no machine code: %.8q…", name, image)
			}
		}
	}
	for _, file := range matches(t, "kernels/*.cubin.gz") {
		ptx := file[:strings.LastIndex(file, ".sm_")] + ".ptx.gz"
		if _, err := os.Stat(ptx); err != nil {
			t.Errorf("%s is of no PTX: %v", file, err)
		}
	}
}

// unpacked returns the bytes of a compressed file, its contents and its comment.
func unpacked(t *testing.T, file string) (raw, contents []byte, comment string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if contents, err = io.ReadAll(z); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return raw, contents, z.Comment
}
