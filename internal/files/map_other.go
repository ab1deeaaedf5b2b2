//go:build !unix

package files

import "os"

// Map returns nil: on this system files are read. See the version for Unix.
func Map(*os.File, int64) (*Mapping, error) { return nil, nil }

// Unmap does nothing, since there are no mappings.
func (m *Mapping) Unmap() error { return nil }
