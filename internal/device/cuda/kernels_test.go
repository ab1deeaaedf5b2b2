package cuda

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKernelsAreThoseThatPassed: testdata/passed.txt has the checksums of the kernels
// with which the tests passed on a card. Without a card, a kernel that has changed
// since then is an error.
func TestKernelsAreThoseThatPassed(t *testing.T) {
	record, err := os.ReadFile(filepath.Join("testdata", "passed.txt"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("kernels/*.ptx.gz")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d kernels, %v", len(files), err)
	}
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
		if name := strings.Fields(line); len(name) == 2 && strings.HasSuffix(name[1], ".ptx.gz") {
			if _, err := os.Stat(filepath.Join("kernels", name[1])); err != nil {
				t.Errorf("testdata/passed.txt names %s, which there is not", name[1])
			}
		}
	}
}
