//go:build unix

package files

import (
	"os"
	"syscall"

	"github.com/pkg/errors"
)

// Map maps a file of size bytes into memory, also beyond the closing of f. The result
// is nil on systems without mapped files, and for a file that is empty or larger than
// the address space.
func Map(f *os.File, size int64) (*Mapping, error) {
	if size < 1 || size != int64(int(size)) {
		return nil, nil
	}
	content, err := syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, errors.Wrapf(err, "mapping %s into memory", f.Name())
	}
	return &Mapping{Content: content}, nil
}

// Unmap ends the mapping, unless it is kept. Its content must not be used any more.
func (m *Mapping) Unmap() error {
	if m.kept.Load() {
		return nil
	}
	return errors.Wrap(syscall.Munmap(m.Content), "unmapping a file")
}
