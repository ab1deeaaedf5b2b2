package kernels

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestRowsAreNormalizedAlone: which groups are computed at once, parts of a row or
// several rows, changes no bit.
func TestRowsAreNormalizedAlone(t *testing.T) {
	for _, s := range []Norm{
		{N: 5, Width: 128, Groups: 32, Centered: true},
		{N: 70, Width: 48, Groups: 3, Centered: true, Residual: true},
		{N: 40, Width: 16, Groups: 16},
		{N: 7, Width: 4 * blockElements, Groups: 1, Centered: true},
		{N: 3, Width: 10 * groupsAtOnce, Groups: 2*groupsAtOnce + 8, Centered: true},
	} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			s.Eps = 1e-5
			n, d := s.N*s.Width, s.Width
			all := random(2*n+d, 1, 0)
			x, dy, w := all[:n], all[n:2*n], all[2*n:]
			y, dx, dw := make([]float32, n), make([]float32, n), make([]float32, d)
			NormForward(s, x, w, y)
			NormBackward(s, x, w, dy, dx, dw)
			alone, gw := s, d/s.Groups
			alone.N, alone.Width, alone.Groups = 1, gw, 1
			sum := make([]float32, d)
			for at := 0; at < n; at += gw {
				c := at % d
				one, back, part := make([]float32, gw), make([]float32, gw), make([]float32, gw)
				NormForward(alone, x[at:at+gw], w[c:c+gw], one)
				NormBackward(alone, x[at:at+gw], w[c:c+gw], dy[at:at+gw], back, part)
				if !slices.Equal(one, y[at:at+gw]) || !slices.Equal(back, dx[at:at+gw]) {
					t.Fatalf("the group at %d differs", at)
				}
				for i, v := range part {
					sum[c+i] += v
				}
			}
			testutil.Near(t, "dw", testutil.Convert[float64](dw), testutil.Convert[float64](sum), 1e-5)
		})
	}
}
