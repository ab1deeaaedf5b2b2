//go:build unix && !solaris && !aix

package files

import (
	"os"
	"syscall"
)

func lockFile(f *os.File) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case syscall.EWOULDBLOCK:
			return ErrLocked
		case syscall.EINTR:
		default:
			return err
		}
	}
}
