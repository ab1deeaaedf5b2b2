package plan

import (
	"math"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// slstmPlan returns a plan of an sLSTM cell with the maps of its gates and the derivatives
// of all, and the values that are kept. Its input has another reader if more is set; all
// gates are maps of the same if alone is set, and that of the last one is kept if seen is.
func slstmPlan(t *testing.T, more, alone, seen bool) (p *Plan, kept []ID) {
	t.Helper()
	p = &Plan{}
	add := adder(t, p)
	cell := ops.SLSTM{B: 2, T: 9, NH: 2, DH: 12, Clip: math.Inf(1)}
	m := ops.Headwise{N: 18, Heads: 2, In: 12, Out: 12, Stride: 12}
	shape := ops.Shape{18, 24}
	var in []ID
	for _, arg := range (ops.SLSTMMapped{SLSTM: cell, Map: m}).Inputs() {
		in = append(in, p.Input(ops.Float32, arg.Shape))
	}
	c, x, dh := in[0], in[1], p.Input(ops.Float32, shape)
	from := []ID{c, c, x, x}
	if alone {
		from[0], from[1] = x, x
	}
	var gates, dx []ID
	for k, source := range from {
		gates = append(gates, add(m, source, in[2+k])[0])
	}
	out := add(cell, append(slices.Clone(gates), in[6:]...)...)
	back := add(ops.SLSTMGrad{SLSTM: cell, Has: [2]bool{true, false}}, in[6], out[0], out[1], out[2], dh)
	kept = append(kept, out[0], back[4], back[5])
	if seen {
		kept = append(kept, gates[3])
	}
	for k, source := range from {
		d := add(ops.HeadwiseGrad{Headwise: m}, source, in[2+k], back[k])
		dx, kept = append(dx, d[0]), append(kept, d[1])
	}
	sums := [][]ID{dx[:2:2], dx[2:]}
	if alone {
		sums = [][]ID{dx}
	}
	if more {
		sums[0] = append(sums[0], dh)
	}
	for _, terms := range sums {
		kept = append(kept, add(ops.ForkGrad{N: len(terms), Shape: shape}, terms...)[0])
	}
	p.Keep(kept...)
	return p, kept
}

// TestCellsMapTheirInputs: an sLSTM cell and the maps of its gates become one step, and so
// do their derivatives, with the sums of the gradients or one term of these, unless
// something else reads a gate.
func TestCellsMapTheirInputs(t *testing.T) {
	both := []string{"sLSTM of maps", "sLSTM of maps'"}
	apart := []string{"headwise", "headwise", "headwise", "headwise", "sLSTM", "sLSTM'", "headwise'", "headwise'", "headwise'", "headwise'", "fork'", "fork'"}
	for _, c := range []struct {
		more, alone, seen bool
		want              []string
	}{{want: both}, {more: true, want: append(both[:2:2], "fork'")}, {alone: true, want: append(both[:2:2], "fork'")}, {seen: true, want: apart}} {
		plan := func(t *testing.T) (*Plan, []ID) { return slstmPlan(t, c.more, c.alone, c.seen) }
		_, want := runPlan(t, cpu.Device{}, plan)
		names, got := runPlan(t, cpu.Fusing{}, plan)
		if !slices.Equal(names, c.want) {
			t.Errorf("%+v: the steps are %q", c, names)
		}
		for k := range want {
			for i, x := range want[k] {
				if d := got[k][i] - x; !(d < 1e-4 && d > -1e-4) {
					t.Errorf("%+v: element %d of result %d is %v, want %v", c, i, k, got[k][i], x)
				}
			}
		}
	}
}
