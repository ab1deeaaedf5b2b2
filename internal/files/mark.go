package files

import "bytes"

// ByteOrderMark is what some programs write at the beginning of a file to say that
// it is UTF-8. It is no part of the text.
const ByteOrderMark = "\ufeff"

// WithoutMark returns the content of a file without a byte order mark at its
// beginning.
func WithoutMark(content []byte) []byte { return bytes.TrimPrefix(content, []byte(ByteOrderMark)) }
