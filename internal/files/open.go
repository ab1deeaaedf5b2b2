package files

import (
	"io"
	"io/fs"
	"math"
	"os"

	"github.com/pkg/errors"
)

// AnySize is the bound for Open for files that are read in pieces.
const AnySize = math.MaxInt64

// Maximum sizes of files by kind, in bytes: about a hundred times the largest
// sizes in use.
const (
	MaxSettings = 16 << 20  // a configuration or other settings
	MaxList     = 100 << 20 // an index of tensors, or a list of checksums
)

// Open opens a regular file for reading and returns it with its size. It
// returns an error if the file is larger than most bytes, or if it is not a
// regular file: a folder, or a pipe or device, which may block or never end.
func Open(path string, most int64) (*os.File, int64, error) {
	// Before it is opened, which may take for ever or do something.
	info, err := os.Stat(path)
	if err == nil {
		err = readable(path, info, most)
	}
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	// Again, since another file may have taken its place.
	if info, err = f.Stat(); err == nil {
		err = readable(path, info, most)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func readable(path string, info fs.FileInfo, most int64) error {
	switch {
	case info.IsDir():
		return errors.Errorf("%s is a folder; name a file", path)
	case !info.Mode().IsRegular():
		return errors.Errorf("%s is a pipe, a device or the like; copy what is to be read into a file", path)
	case info.Size() > most:
		return errors.Errorf("%s has %d bytes, and what it should be has %d at most; see whether it is the right file", path, info.Size(), most)
	}
	return nil
}

// Read returns the content of a file, with the checks of Open.
func Read(path string, most int64) ([]byte, error) {
	f, _, err := Open(path, most)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := ReadAll(f, most)
	return content, errors.Wrapf(err, "reading %s", path)
}

// ReadAll is like io.ReadAll, but returns an error if there are more than most
// bytes.
func ReadAll(r io.Reader, most int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) == most {
		if n, _ := io.ReadFull(r, make([]byte, 1)); n > 0 {
			return nil, errors.Errorf("there are more than %d bytes, which is too much for what it should be", most)
		}
	}
	return content, nil
}
