package xlstm

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"gorgonia.org/tensor"
)

// bits returns type, shape and numbers, bit by bit.
func bits(t *tensor.Dense) string {
	var buf bytes.Buffer
	binary.Write(&buf, binary.LittleEndian, t.Data())
	return fmt.Sprintf("%v %v %x", t.Dtype(), t.Shape(), buf.Bytes())
}
