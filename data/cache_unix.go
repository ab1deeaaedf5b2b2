//go:build unix

package data

import (
	"os"

	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// mapFile maps a file into memory, for reading.
func mapFile(path string) (content []byte, unmap func() error, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() // the mapping stays
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	size := int(info.Size())
	if size == 0 || int64(size) != info.Size() {
		return nil, nil, errors.Errorf("%s has %d bytes, which cannot be mapped into memory", path, info.Size())
	}
	content, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, errors.Wrapf(err, "mapping %s into memory", path)
	}
	return content, func() error { return unix.Munmap(content) }, nil
}
