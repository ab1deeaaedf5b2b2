package files

import (
	stderrors "errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"

	"github.com/pkg/errors"
)

// tempName returns a new name beside path, in the form that IsTemp knows: for
// "a/model" it is "a/.model.tmp-0123456789abcdef".
func tempName(path string) string {
	dir, name := filepath.Split(filepath.Clean(path))
	return filepath.Join(dir, fmt.Sprintf(".%s.tmp-%016x", name, rand.Uint64()))
}

// IsTemp reports whether name is that of a temporary file or folder of
// WriteFile or WriteDir.
func IsTemp(name string) bool {
	ok, _ := regexp.MatchString(`(?s)^\..+\.tmp-[0-9a-f]{16}$`, name)
	return ok
}

// CleanTemp removes the temporary files that interrupted calls of WriteFile and
// WriteDir left in the folder dir. No such call may be in progress in dir, in
// this program or another. The error names a file that could not be removed.
func CleanTemp(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return errors.Wrapf(err, "removing leftovers from %s", dir)
	}
	for _, e := range entries {
		if !IsTemp(e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return errors.Wrapf(err, "removing leftovers from %s", dir)
		}
	}
	return nil
}

// syncDir brings the entries of a folder to the disk, where the system has a way
// to do so.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it has none
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	// Some file systems, those of networks above all, have none either.
	if errors.Is(err, stderrors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}
