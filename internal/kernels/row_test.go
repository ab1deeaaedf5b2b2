package kernels

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/blas"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"github.com/gorgonia-xlstm/xlstm/internal/weights"
)

// rowShapes are widths and results of maps of one row: too small for another core, of
// several pieces, and with pieces that end within a result.
var rowShapes = []struct {
	in   int
	outs []int
}{{32, []int{1}}, {96, []int{5, 0, 7}}, {256, []int{300, 300}}, {384, []int{211, 513, 4}}}

// TestRowLinearIsLinear: to the bit, for each of the results, on any number of cores.
// Gonum's products round by the number of rows: theirs are the same bits on any number
// of cores, and Linear's except for rounding.
func TestRowLinearIsLinear(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, s := range rowShapes {
		total := 0
		for _, n := range s.outs {
			total += n
		}
		x, w, b := random(s.in, 1, 0), random(total*s.in, 1, 0), random(total, 1, 0)
		want := make([]float32, total)
		Linear(1, s.in, total, x, s.in, w, s.in, b, want, false)
		run := func(ys [][]float32) { NewRowLinear[float32](s.in, s.outs).Run(x, w, b, ys) }
		if blas.Implementation().Kernels() == "portable Go" {
			once := make([]float32, total)
			run(split(once, s.outs))
			if d := apart(testutil.Convert[float64](once), testutil.Convert[float64](want)); d > 1e-6 {
				t.Errorf("%v: results are %g apart", s, d)
			}
			want = once
		}
		checkRow(t, fmt.Sprint(s), s.outs, want, run)
	}
}

// TestPackedRowLinearIsDots of the whole matrix, to the bit.
func TestPackedRowLinearIsDots(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, f := range packedFormats {
		for _, s := range rowShapes {
			total := 0
			for _, n := range s.outs {
				total += n
			}
			x, w, b := random(s.in, 1, 0), packedMatrix(f, total, s.in), random(total, 1, 0)
			var v weights.Vector
			v.Set(f, x)
			want := make([]float32, total)
			w.Dots(&v, want)
			for i := range want {
				want[i] += b[i]
			}
			row := NewPackedRowLinear(s.in, f.RowBytes(s.in), s.outs)
			checkRow(t, fmt.Sprint(f, s), s.outs, want, func(ys [][]float32) { row.Run(x, w, b, ys) })
		}
	}
}

// checkRow compares the results that run writes with want, where they follow one
// another.
func checkRow(t *testing.T, what string, outs []int, want []float32, run func(ys [][]float32)) {
	t.Helper()
	for _, procs := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(procs)
		got := make([]float32, len(want))
		if run(split(got, outs)); !slices.Equal(got, want) {
			t.Errorf("%s on %d cores: another result", what, procs)
		}
	}
}

// split returns consecutive parts of y of the given lengths.
func split(y []float32, lengths []int) (ys [][]float32) {
	for _, n := range lengths {
		ys, y = append(ys, y[:n:n]), y[n:]
	}
	return ys
}

// TestRowsTakeNoMemory: a map that has run once allocates nothing.
func TestRowsTakeNoMemory(t *testing.T) {
	const in, out = 384, 700
	x, w, ys := random(in, 1, 0), random(out*in, 1, 0), [][]float32{make([]float32, out)}
	row := NewRowLinear[float32](in, []int{out})
	if n := testing.AllocsPerRun(10, func() { row.Run(x, w, nil, ys) }); n > 0 {
		t.Errorf("float32: %v allocations", n)
	}
	m := packedMatrix(ops.Int8, out, in)
	packed := NewPackedRowLinear(in, ops.Int8.RowBytes(in), []int{out})
	if n := testing.AllocsPerRun(10, func() { packed.Run(x, m, nil, ys) }); n > 0 {
		t.Errorf("int8: %v allocations", n)
	}
}
