package files

import "bytes"

// ByteOrderMark is written by some programs at the beginning of a file to mark
// it as UTF-8. It is not part of the text.
const ByteOrderMark = "\ufeff"

// WithoutMark returns the content of a file without a byte order mark at its
// beginning.
func WithoutMark(content []byte) []byte { return bytes.TrimPrefix(content, []byte(ByteOrderMark)) }
