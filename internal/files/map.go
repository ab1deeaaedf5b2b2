package files

import "sync/atomic"

// Mapping is memory that is mapped to a file: it is read from the disk when it is
// used, and processes that map the same file share it. It must not be written to,
// and the file must not be changed in place while it is mapped; a file that is
// replaced by another stays as it is.
type Mapping struct {
	Content []byte
	kept    atomic.Bool
}

// Keep lets the mapping last as long as the process: Unmap then does nothing.
func (m *Mapping) Keep() { m.kept.Store(true) }
