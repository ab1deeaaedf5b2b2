package xlstm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"gorgonia.org/tensor"
)

// bits returns type, shape and numbers, bit by bit.
func bits(t *tensor.Dense) string {
	var buf bytes.Buffer
	binary.Write(&buf, binary.LittleEndian, t.Data())
	return fmt.Sprintf("%v %v %x", t.Dtype(), t.Shape(), buf.Bytes())
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") || len(err.Error()) > 2000 {
		t.Errorf("error %q is not one sentence", err)
	}
}
