// Package files writes files and folders so that the previous version is never
// lost: the new version is written under a temporary name, synced to disk, and
// only then renamed. If the program is killed or the disk is full, the old
// version is unchanged, and at most a temporary file is left, which CleanTemp
// removes.
package files

import (
	"bufio"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pkg/errors"
)

// WriteFile creates or replaces the file at path with what write writes; w is
// buffered. The permissions of a replaced file are kept; a symbolic link itself
// is replaced, not its target. The checksum of the old file is removed from the
// folder's list (see SumsFile).
//
// An error names the file. The old file is then unchanged, unless the error
// says that the folder could not be synced to disk: then the new file is in
// place, but a power failure may still undo the replacement.
func WriteFile(path string, write func(w io.Writer) error) error {
	if err := changeSum(path, nil); err != nil {
		return err
	}
	return writeFile(path, io.Discard, write)
}

// writeFile is WriteFile that also gives what the file holds to sum.
func writeFile(path string, sum io.Writer, write func(w io.Writer) error) error {
	tmp := tempName(path)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return errors.Wrapf(err, "writing %s", path)
	}
	placed := false
	// Deferred, so that it is also done if write panics.
	defer func() {
		if !placed {
			f.Close()
			os.Remove(tmp)
		}
	}()
	if err := fill(f, sum, path, write); err != nil {
		return errors.Wrapf(err, "writing %s", path)
	}
	if err := os.Rename(tmp, path); err != nil {
		return errors.Wrapf(err, "writing %s", path)
	}
	placed = true
	return errors.Wrapf(syncDir(filepath.Dir(path)), "writing %s: bringing its folder to the disk", path)
}

// fill writes f, which is to take the place of path, and sum, brings f to the disk
// and closes it.
func fill(f *os.File, sum io.Writer, path string, write func(w io.Writer) error) error {
	if err := inheritMode(f, path); err != nil {
		return err
	}
	w := bufio.NewWriterSize(io.MultiWriter(f, sum), 1<<16)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// inheritMode gives f the permissions of the file at path, if there is one.
func inheritMode(f *os.File, path string) error {
	old, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	fresh, err := f.Stat()
	if err != nil || old.Mode().Perm() == fresh.Mode().Perm() || !old.Mode().IsRegular() {
		return err
	}
	return f.Chmod(old.Mode().Perm())
}
