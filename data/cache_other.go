//go:build !unix

package data

import "github.com/gorgonia-xlstm/xlstm/internal/files"

// mapFile reads a file, for want of a way to map it.
func mapFile(path string) (content []byte, unmap func() error, err error) {
	content, err = files.Read(path, files.AnySize)
	return content, func() error { return nil }, err
}
