//go:build unix

package data

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPipesAreLeftOutUnlessNamed: a folder or a pattern skips them, and to name
// one is an error instead of waiting for one who writes.
func TestPipesAreLeftOutUnlessNamed(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe.txt")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{dir, filepath.Join(dir, "*.txt")} {
		if c, err := Load(0, pattern); err != nil || c.Text() != "text" {
			t.Errorf("%s: %v, %v", pattern, c, err)
		}
		if f, err := Find(pattern); err != nil || f.Bytes != 4 {
			t.Errorf("%s: %v, %v", pattern, f, err)
		}
	}
	if _, err := Load(0, pipe); err == nil || !strings.Contains(err.Error(), "a pipe") {
		t.Errorf("Load: %v", err)
	}
	if _, err := Find(pipe); err == nil || !strings.Contains(err.Error(), "a pipe") {
		t.Errorf("Find: %v", err)
	}
}
