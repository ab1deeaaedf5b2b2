package files

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestRemoveDirLeavesNoPart looks at a folder while it is removed: all of it or
// none of it is there under its name.
func TestRemoveDirLeavesNoPart(t *testing.T) {
	const n = 3000
	dir := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	go func() { done <- RemoveDir(dir) }()
	for looks := 0; ; looks++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) > 0 {
				t.Errorf("%v are left, %v", left, err)
			}
			if err := RemoveDir(dir); err != nil {
				t.Errorf("removing what is not there: %v", err)
			}
			return
		default:
		}
		if f, err := os.Open(filepath.Join(dir, strconv.Itoa(looks%n))); err == nil {
			f.Close()
		} else if _, err := os.Stat(filepath.Join(dir, strconv.Itoa((looks+1)%n))); err == nil {
			t.Fatal("a part of the folder is there")
		}
	}
}
