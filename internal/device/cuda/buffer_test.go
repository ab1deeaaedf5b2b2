//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// TestHostBytesOfEveryType: slices of every element type of buffers can be copied.
func TestHostBytesOfEveryType(t *testing.T) {
	for want, x := range map[ops.Dtype]any{
		ops.Float32: make([]float32, 3), ops.Float64: make([]float64, 3), ops.Int: make([]int, 3), ops.Byte: make([]byte, 3),
	} {
		data, dt, err := hostBytes(x)
		if err != nil || dt != want || len(data) != 3*want.Size() {
			t.Errorf("%T: %d bytes of %v, %v", x, len(data), dt, err)
		}
	}
}
