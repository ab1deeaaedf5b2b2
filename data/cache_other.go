//go:build !unix

package data

import "os"

// mapFile reads a file, for want of a way to map it.
func mapFile(path string) (content []byte, unmap func() error, err error) {
	content, err = os.ReadFile(path)
	return content, func() error { return nil }, err
}
