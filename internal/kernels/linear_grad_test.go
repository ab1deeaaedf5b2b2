package kernels

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// TestLinearGradsOnAnyNumberOfCores: products in one run over the cores give the same
// bits as one by one, however rows and outputs are divided.
func TestLinearGradsOnAnyNumberOfCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, c := range []struct {
		n, in int
		outs  []int
	}{
		{529, 300, []int{400}}, // one row more than whole tiles
		{1538, 256, []int{500, 300}},
		{4099, 72, []int{65, 13}},
		{9001, 40, []int{90}}, // more blocks than are summed at a time
		{1100, 700, []int{100}},
		{1100, 300, []int{1, 300}},
	} {
		var want []float32
		for _, procs := range []int{1, 2, 3, 7, 16} {
			runtime.GOMAXPROCS(procs)
			got := linearGradsOf(c.n, c.in, c.outs)
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d rows, %d→%v: other gradients on %d cores", c.n, c.in, c.outs, procs)
			}
		}
	}
}

// TestJointRunsHaveSeveralRows: runs follow one another, from and to blocks of rows, and the
// last one has more rows than a tile.
func TestJointRunsHaveSeveralRows(t *testing.T) {
	const step = 512
	for _, n := range []int{600, 8*step + 1, 8*step + jointTile, 8*step + jointTile + 1, 16 * step, step*step + 1} {
		for lo, hi := 0, 0; lo < n; lo = hi {
			if hi = jointEnd(lo, n, step); hi > n || hi-lo <= jointTile || hi < n && hi != lo+jointBlocks*step {
				t.Fatalf("of %d rows, a run has those from %d to %d", n, lo, hi)
			}
		}
	}
}

// linearGradsOf returns all gradients of maps of random matrices.
func linearGradsOf(n, in int, outs []int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	var maps []LinearGrad[float32]
	for _, out := range outs {
		maps = append(maps, LinearGrad[float32]{Out: out, DY: draw(n * out), W: draw(out * in), DW: draw(out * in)})
	}
	x, all := draw(n*in), draw(n*in)
	LinearGrads(n, in, x, all, maps)
	for _, m := range maps {
		all = append(all, m.DW...)
	}
	return all
}
