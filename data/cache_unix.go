//go:build unix

package data

import (
	"github.com/gorgonia-xlstm/xlstm/internal/files"
	"github.com/pkg/errors"
	"golang.org/x/sys/unix"
)

// mapFile maps a file into memory, for reading.
func mapFile(path string) (content []byte, unmap func() error, err error) {
	f, length, err := files.Open(path, files.AnySize)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() // the mapping stays
	size := int(length)
	if size == 0 || int64(size) != length {
		return nil, nil, errors.Errorf("%s has %d bytes, which cannot be mapped into memory", path, length)
	}
	content, err = unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, errors.Wrapf(err, "mapping %s into memory", path)
	}
	return content, func() error { return unix.Munmap(content) }, nil
}
