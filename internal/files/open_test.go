package files

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/pkg/errors"
)

// TestOnlyFilesOfAFittingSizeAreRead: neither folders nor more than what is asked
// for, also of a file that is said to be longer than any memory.
func TestOnlyFilesOfAFittingSizeAreRead(t *testing.T) {
	dir := t.TempDir()
	path, sparse := filepath.Join(dir, "a"), filepath.Join(dir, "sparse")
	mustWrite(t, path, "ten bytes.")
	mustWrite(t, sparse, "")
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Skip("there are no sparse files of this length here")
	}
	if content, err := Read(path, 10); err != nil || string(content) != "ten bytes." {
		t.Errorf("a file of the largest size that is read: %q, %v", content, err)
	}
	if f, size, err := Open(path, AnySize); err != nil || size != 10 {
		t.Errorf("size %d, error %v", size, err)
	} else {
		f.Close()
	}
	for name, c := range map[string]struct {
		path string
		most int64
		want []string
	}{
		"one byte too many": {path, 9, []string{path, "10 bytes", "9 at most"}},
		"sparse":            {sparse, MaxList, []string{sparse, "1099511627776 bytes"}},
		"folder":            {dir, AnySize, []string{dir, "is a folder"}},
	} {
		t.Run(name, func(t *testing.T) { testutil.WantError(t, second(Read(c.path, c.most)), c.want...) })
	}
	if _, err := Read(filepath.Join(dir, "missing"), 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := ReadVerified(sparse, MaxSettings); err == nil {
		t.Error("ReadVerified reads a file that is too large")
	}
	if err := os.Rename(sparse, filepath.Join(dir, SumsFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSums(dir); err == nil {
		t.Error("ReadSums reads a list that is too large")
	}
}

func TestReadAllIsBounded(t *testing.T) {
	if content, err := ReadAll(strings.NewReader("abc"), 3); err != nil || string(content) != "abc" {
		t.Errorf("%q, %v", content, err)
	}
	testutil.WantError(t, second(ReadAll(io.MultiReader(strings.NewReader("abc"), strings.NewReader("d")), 3)), "more than 3 bytes")
	testutil.WantError(t, second(ReadAll(zeros{}, 1<<20)), "more than 1048576 bytes")
}

func second(_ []byte, err error) error { return err }

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte{0}, len(p))), nil }
