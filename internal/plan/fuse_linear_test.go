package plan

import (
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// TestMapsFuseWithTheirGate: two maps of one input and the gate that reads them become one
// step, which writes the maps' results only if another step reads them.
func TestMapsFuseWithTheirGate(t *testing.T) {
	const rows, in, out = 4, 6, 5
	m := ops.Linear{Rows: rows, In: in, Outs: []int{out}}
	gate := ops.Gated{Fn: ops.SiLU, Shape: ops.Shape{rows, out}}
	maps := func(back, swapped bool) func(t *testing.T) (*Plan, []ID) {
		return func(t *testing.T) (*Plan, []ID) {
			p := &Plan{}
			add := adder(t, p)
			x, dy := p.Input(ops.Float32, ops.Shape{rows, in}), p.Input(ops.Float32, ops.Shape{rows, out})
			g := add(m, x, p.Input(ops.Float32, ops.Shape{out, in}))[0]
			u := add(m, x, p.Input(ops.Float32, ops.Shape{out, in}))[0]
			if swapped {
				g, u = u, g
			}
			kept := add(gate, g, u)
			if back {
				kept = append(kept, add(ops.GatedGrad(gate), g, u, dy)...)
			}
			p.Keep(kept...)
			return p, kept
		}
	}
	for _, c := range []struct {
		back, swapped bool
		want          []string
	}{
		{false, false, []string{"silu⊙linears"}}, {true, false, []string{"silu⊙linears", "silu⊙'"}}, {false, true, []string{"linears", "silu⊙"}},
	} {
		_, want := runPlan(t, cpu.Device{}, maps(c.back, c.swapped))
		names, got := runPlan(t, fuser{}, maps(c.back, c.swapped))
		if !slices.Equal(names, c.want) {
			t.Errorf("the steps are %q, want %q", names, c.want)
		}
		for k := range want {
			if !slices.Equal(got[k], want[k]) {
				t.Errorf("%s: result %d is %v, want %v", c.want, k, got[k], want[k])
			}
		}
	}
}
