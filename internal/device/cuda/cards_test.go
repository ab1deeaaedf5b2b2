//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"bytes"
	"testing"
)

// TestKernelsForCards: cards with machine code get it, and others PTX, as do all for
// modules without machine code for them.
func TestKernelsForCards(t *testing.T) {
	for _, c := range []struct {
		module       string
		major, minor int32
		machine      bool
	}{
		{"conv.f32", 8, 0, true}, {"conv.f32", 8, 9, true}, {"conv.f32", 9, 0, true}, {"slstm_96_cluster.f32", 9, 0, true},
		{"conv.f32", 10, 0, false}, {"conv.f32", 9, 1, false}, {"conv.f64", 9, 0, false}, {"slstm_96_cluster.f32", 8, 0, false},
	} {
		image, err := readKernels(c.module, c.major, c.minor)
		if err != nil || bytes.HasPrefix(image, []byte("\x7fELF")) != c.machine || bytes.Contains(image, []byte(".target")) == c.machine {
			t.Errorf("%s for %d.%d is read as %.20q…, %v", c.module, c.major, c.minor, image, err)
		}
	}
}
