package files

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pkg/errors"
)

// WriteDir creates the folder dir with the files that write writes to the
// folder tmp: either all of them or none. It returns an error that names dir if
// dir exists.
//
// After an error dir does not exist, unless the error says that its parent
// folder could not be synced to disk: then dir exists, but a power failure may
// still remove it.
func WriteDir(dir string, write func(tmp string) error) error {
	if err := mustNotExist(dir); err != nil {
		return err
	}
	tmp := tempName(dir)
	if err := os.Mkdir(tmp, 0o777); err != nil {
		return errors.Wrapf(err, "writing folder %s", dir)
	}
	placed := false
	// Deferred, so that it is also done if write panics.
	defer func() {
		if !placed {
			os.RemoveAll(tmp)
		}
	}()
	if err := write(tmp); err != nil {
		return errors.Wrapf(err, "writing folder %s", dir)
	}
	if err := syncTree(tmp); err != nil {
		return errors.Wrapf(err, "writing folder %s", dir)
	}
	// Again, since a rename replaces an empty folder without a word.
	if err := mustNotExist(dir); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return errors.Wrapf(err, "writing folder %s", dir)
	}
	placed = true
	return errors.Wrapf(syncDir(filepath.Dir(filepath.Clean(dir))), "writing folder %s: bringing the folder around it to the disk", dir)
}

func mustNotExist(dir string) error {
	_, err := os.Lstat(dir)
	if err == nil {
		return errors.Errorf("writing folder %s: it exists already; remove it, or choose another name", dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Wrapf(err, "writing folder %s", dir)
}

// syncTree brings a folder and all that is in it to the disk.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return syncDir(path)
		case d.Type().IsRegular():
			return syncFile(path)
		}
		return nil
	})
}

func syncFile(path string) error {
	flag := os.O_RDONLY
	if runtime.GOOS == "windows" {
		flag = os.O_RDWR // Windows syncs only what is open for writing
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// RemoveDir removes the folder dir with its contents. If the process is killed
// meanwhile, either the whole folder is left or a temporary one that CleanTemp
// removes, never a part of the folder under its name. It is not an error if dir
// does not exist.
func RemoveDir(dir string) error {
	tmp := tempName(dir)
	switch err := os.Rename(dir, tmp); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return errors.Wrapf(err, "removing folder %s", dir)
	}
	return errors.Wrapf(os.RemoveAll(tmp), "removing folder %s", dir)
}
