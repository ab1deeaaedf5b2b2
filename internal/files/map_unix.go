//go:build unix

package files

import (
	"os"
	"syscall"

	"github.com/pkg/errors"
)

// Map returns the content of a file of size bytes in memory that is mapped to the
// file: it is read from the disk when it is used, and processes that map the same
// file share it. It must not be written to. The mapping lasts as long as the
// process, also after f is closed, and the file must not be changed in place
// meanwhile; a file that is replaced by another stays as it is. ok is false on
// systems without mapped files.
func Map(f *os.File, size int64) (content []byte, ok bool, err error) {
	if size < 1 || size != int64(int(size)) {
		return nil, false, nil
	}
	content, err = syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	return content, err == nil, errors.Wrapf(err, "mapping %s into memory", f.Name())
}
