package vec

import (
	"math/rand/v2"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestNothingBeyondTheVectors: with each vector right before or right after a page
// that must not be touched, nothing is read or written beyond it, or written on its
// other side.
func TestNothingBeyondTheVectors(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	fences := testutil.NewFences[float32](t, 12345)
	eachCase(func(o op[float32], n int, v [][]float32) {
		using(func(set string) {
			fenced := make([][]float32, len(v))
			for i := range v {
				fenced[i] = fences.Copy(i, v[i], r.IntN(2) == 0)
			}
			o.run(fenced)
			for i := range v {
				if !fences.Intact(i) {
					t.Fatalf("%s %s of %d wrote beside vector %d", o.name, set, n, i)
				}
			}
		})
	})
}

// TestPrefetchChangesNothing: it accepts any vector, up to the last byte of the
// memory and beyond the lines that belong to it.
func TestPrefetchChangesNothing(t *testing.T) {
	fences := testutil.NewFences[float32](t, 12345)
	r := rand.New(rand.NewPCG(17, 18))
	for n := range longest + 1 {
		using(func(string) {
			v := random(op[float32]{vectors: 1}, n, r)[0]
			fenced := fences.Copy(0, v, n%2 == 0)
			Prefetch(fenced)
			checkSame(t, "after Prefetch", [][]float32{fenced}, [][]float32{v})
			if !fences.Intact(0) {
				t.Fatalf("a prefetch of %d elements wrote beside them", n)
			}
		})
	}
}
