package plan

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPlace: what is alive at one time does not overlap, and little is wasted.
func TestPlace(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var bs []*block
		live := make([]int, 60)
		for range 1 + r.IntN(40) {
			first := r.IntN(50)
			b := &block{size: 1 + r.IntN(100), first: first, last: first + r.IntN(10)}
			for i := b.first; i <= b.last; i++ {
				live[i] += b.size
			}
			bs = append(bs, b)
		}
		size := place(bs)
		for i, a := range bs {
			if a.offset < 0 || a.end() > size {
				t.Fatalf("%+v lies outside %d", a, size)
			}
			for _, b := range bs[:i] {
				if a.first <= b.last && b.first <= a.last && a.offset < b.end() && b.offset < a.end() {
					t.Fatalf("%+v and %+v overlap", a, b)
				}
			}
		}
		if need := slices.Max(live); 2*size > 3*need {
			t.Errorf("%d elements for %d that are alive at once", size, need)
		}
	}
}
