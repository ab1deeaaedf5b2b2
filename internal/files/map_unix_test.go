//go:build unix

package files

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestMappingsAreTheFile, also after it is closed and another has taken its place;
// a kept one is not unmapped.
func TestMappingsAreTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	want := bytes.Repeat([]byte("content "), 3000)
	if err := os.WriteFile(path, want, 0o666); err != nil {
		t.Fatal(err)
	}
	f, size, err := Open(path, AnySize)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Map(f, size)
	if err != nil || m == nil {
		t.Fatal(m, err)
	}
	f.Close()
	if err := os.WriteFile(path+".new", []byte("another"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	m.Keep()
	if err := m.Unmap(); err != nil || !bytes.Equal(m.Content, want) {
		t.Errorf("the content of a kept mapping is another, or %v", err)
	}
	if m, err := Map(f, 0); m != nil || err != nil {
		t.Errorf("an empty file: %v, %v", m, err)
	}
	if _, err := Map(f, 5); err == nil {
		t.Error("a closed file is mapped")
	}
}
