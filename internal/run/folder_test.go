package run

import (
	"path/filepath"
	"testing"
)

func TestDefaultFoldersAreNumbered(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "runs")
	for _, want := range []string{"tiny", "tiny-2", "tiny-3"} {
		dir, err := ClaimFolder(parent, "tiny")
		if err != nil || filepath.Base(dir) != want {
			t.Errorf("%s, %v; want %s", dir, err, want)
		}
	}
}
