package blas

import (
	"math/rand/v2"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestNothingBeyondTheSlices: with each matrix right before or right after a page
// that must not be touched, no kernel reads or writes beyond it, or writes on its
// other side.
func TestNothingBeyondTheSlices(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	fences := testutil.NewFences[float32](t, 12345)
	for _, impl := range sets() {
		packed := packedGemm[float32](impl)
		for range 400 {
			g := newGemmCase[float32](r, randomOf(r, transposes...), randomOf(r, transposes...),
				1+r.IntN(40), 1+r.IntN(randomOf(r, 9, 70, 300)), 1+r.IntN(randomOf(r, 40, 400)), r.IntN(3), 1, 0.5)
			atEnd := r.IntN(2) == 0
			g.a, g.b = fences.Copy(0, g.a, atEnd), fences.Copy(1, g.b, atEnd)
			c := fences.Copy(2, g.c, atEnd)
			impl.Sgemm(g.tA, g.tB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.beta, c, g.ldc)
			packed(g.tA, g.tB, g.m, g.n, g.k, g.alpha, g.a, g.lda, g.b, g.ldb, g.beta, c, g.ldc)
			for i := range 3 {
				if !fences.Intact(i) {
					t.Fatalf("%v wrote beside matrix %d of %d by %d by %d", impl, i, g.m, g.n, g.k)
				}
			}
		}
	}
}
