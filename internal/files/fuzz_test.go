package files

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzSums: a list of checksums is read, or is an error of one sentence, and a file
// that it does not fit is one, too.
func FuzzSums(f *testing.F) {
	f.Add([]byte(strings.Repeat("0", 64) + "  a\n"))
	f.Add([]byte("  a\n"))
	f.Add(bytes.Repeat([]byte{'\n'}, 3))
	f.Fuzz(func(t *testing.T, list []byte) {
		dir := t.TempDir()
		mustWrite(t, filepath.Join(dir, SumsFile), string(list))
		mustWrite(t, filepath.Join(dir, "a"), "content")
		_, err := ReadVerified(filepath.Join(dir, "a"), 100)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q is not one sentence", err)
		}
		if sums, unread := ReadSums(dir); unread == nil && sums["a"] == strings.Repeat("0", 64) && err == nil {
			t.Error("a wrong checksum was taken for a right one")
		}
	})
}
