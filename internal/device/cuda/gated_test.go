//go:build nvidia && linux && (amd64 || arm64)

package cuda

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// TestMapsAreGatedOnTheWay: the kernel of linear maps and their gate writes of its g and u
// the y of the kernel that gates alone, to the bit, and the same y if it writes no g and u.
func TestMapsAreGatedOnTheWay(t *testing.T) {
	d := opened(t, BF16)
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	alloc := func(n int) device.Buffer {
		b, err := d.Alloc(ops.BFloat16, n)
		check(err)
		return b
	}
	random := func(n int) device.Buffer {
		b, x := alloc(n), make([]float32, n)
		for i := range x {
			x[i] = float32(rand.NormFloat64()) / 4
		}
		check(d.Upload(b, x))
		return b
	}
	run := func(op ops.Op, out []device.Buffer, in ...device.Buffer) {
		launch, err := d.Bind(op, out, in, nil)
		check(err)
		check(launch())
	}
	for _, s := range []struct{ rows, in, out int }{{300, 128, 192}, {3, 64, 64}, {1300, 192, 704}, {5000, 256, 2752}} {
		m := ops.Linear{Rows: s.rows, In: s.in, Outs: []int{s.out}}
		op := ops.GatedLinears{Linears: ops.Linears{Maps: []ops.Linear{m, m}}, Fn: ops.SiLU}
		if !d.gates(op) {
			t.Skip("the card has no such kernel")
		}
		x, wg, wu, n := random(s.rows*s.in), random(s.out*s.in), random(s.out*s.in), s.rows*s.out
		g, u := alloc(n), alloc(n)
		ys := make([][]uint16, 3)
		for k := range ys {
			y := alloc(n)
			switch k {
			case 0:
				run(op, []device.Buffer{g, u, y}, x, wg, wu)
			case 1:
				run(op.Gate(), []device.Buffer{y}, g, u)
			case 2:
				op.Alone = true
				run(op, []device.Buffer{y}, x, wg, wu)
			}
			ys[k] = make([]uint16, n)
			check(d.Download(ys[k], y))
		}
		for k, by := range []string{"the gate alone", "the kernel without g and u"} {
			if !slices.Equal(ys[0], ys[k+1]) {
				t.Errorf("%+v: y is another one by %s", s, by)
			}
		}
	}
}

// TestGatedMapsFuse: on Hopper in bfloat16, for widths of whole panels and many rows.
func TestGatedMapsFuse(t *testing.T) {
	older := ForPlans(BF16)
	older.major = 8
	op := func(rows, in, out int, fn ops.Activation, bias bool) ops.GatedLinears {
		m := ops.Linear{Rows: rows, In: in, Outs: []int{out}, Bias: bias}
		return ops.GatedLinears{Linears: ops.Linears{Maps: []ops.Linear{m, m}}, Fn: fn}
	}
	large := op(16384, 1024, 2752, ops.SiLU, false)
	for name, c := range map[string]struct {
		d    *Device
		op   ops.GatedLinears
		want bool
	}{
		"large":        {ForPlans(BF16), large, true},
		"Ampere":       {older, large, false},
		"TF32":         {ForPlans(TF32), large, false},
		"few rows":     {ForPlans(BF16), op(512, 1024, 2752, ops.SiLU, false), false},
		"another gate": {ForPlans(BF16), op(16384, 1024, 2752, ops.GELU, false), false},
		"biases":       {ForPlans(BF16), op(16384, 1024, 2752, ops.SiLU, true), false},
		"odd widths":   {ForPlans(BF16), op(16384, 1024, 2730, ops.SiLU, false), false},
	} {
		if got := c.d.Fuses(c.op); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
