package kernels

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// TestEmbeddedGradientsAreTheSameBits on any number of cores, among which the columns
// of the sums are divided.
func TestEmbeddedGradientsAreTheSameBits(t *testing.T) {
	const v, in, out, rows = 7, 20, 300, 500
	r := rand.New(rand.NewPCG(1, 2))
	e, w, dy := float32s(normals(r, v*in, 1, 0)), float32s(normals(r, out*in, 1, 0)), float32s(normals(r, rows*out, 1, 0))
	ids := make([]int, rows)
	for i := range ids {
		ids[i] = r.IntN(v)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var want [2][]float32
	for _, procs := range []int{1, 2, 3, 16} {
		runtime.GOMAXPROCS(procs)
		got := [2][]float32{make([]float32, len(e)), make([]float32, len(w))}
		EmbeddedLinearGrad(v, in, out, ids, e, w, dy, got[0], got[1])
		if procs == 1 {
			want = got
		}
		if !slices.Equal(got[0], want[0]) || !slices.Equal(got[1], want[1]) {
			t.Errorf("%d cores give other bits", procs)
		}
	}
}
