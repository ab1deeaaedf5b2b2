package plan

import (
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// cellPlan returns a plan of the maps to q, k and v, the gates and the cell of a block
// of the paper's architecture, with their derivatives, and the values that are kept.
// c has a third reader if skip is set.
func cellPlan(t *testing.T, skip bool) (p *Plan, kept []ID) {
	t.Helper()
	p = &Plan{}
	add := adder(t, p)
	shape := ops.Shape{6, 8}
	m := ops.Headwise{N: 6, Heads: 2, In: 4, Out: 4, Stride: 4}
	gates := ops.MLSTMGates{N: 6, NH: 2, Widths: [3]int{8, 8, 8}}
	cell := ops.MLSTM{B: 2, T: 3, NH: 2, DQK: 4, DHV: 4, Chunk: 64, ScaleQ: 1, ScaleK: 0.5, Eps: 1e-6}
	var in []ID
	for _, arg := range (ops.Projections{Map: m, Gates: gates}).Inputs() {
		in = append(in, p.Input(ops.Float32, arg.Shape))
	}
	c := add(ops.Activate{Fn: ops.Tanh, Shape: shape}, in[0])[0]
	x, w, g, dh := in[1], in[2:5], in[5:], p.Input(ops.Float32, shape)
	q, k, v := add(m, c, w[0])[0], add(m, c, w[1])[0], add(m, x, w[2])[0]
	opened := add(gates, q, k, v, g[0], g[1], g[2], g[3])
	h := add(cell, q, k, v, opened[0], opened[1])
	back := add(ops.MLSTMGrad{MLSTM: cell, Has: [4]bool{true}}, q, k, v, opened[0], opened[1], h[0], dh)
	gateBack := add(ops.MLSTMGatesGrad{MLSTMGates: gates, Has: [2]bool{true, true}}, q, k, v, g[0], g[2], back[3], back[4])
	kept = append(kept, h[0], gateBack[3], gateBack[4], gateBack[5], gateBack[6])
	var down []ID
	for k, x := range []ID{c, c, x} {
		sum := add(ops.ForkGrad{N: 2, Shape: shape}, gateBack[k], back[k])[0]
		grads := add(ops.HeadwiseGrad{Headwise: m}, x, w[k], sum)
		down, kept = append(down, grads[0]), append(kept, grads[1])
	}
	dcs := down[:2:2]
	if skip {
		dcs = append(dcs, dh)
	}
	kept = append(kept, add(ops.ForkGrad{N: len(dcs), Shape: shape}, dcs...)[0], down[2])
	p.Keep(kept...)
	return p, kept
}

// TestProjectionsFuse: the maps to q, k and v and the gates become one step, and so do
// their derivatives, with what else is added to the gradient of c.
func TestProjectionsFuse(t *testing.T) {
	cell := func(skip bool) func(t *testing.T) (*Plan, []ID) {
		return func(t *testing.T) (*Plan, []ID) { return cellPlan(t, skip) }
	}
	for _, c := range []struct {
		plan func(t *testing.T) (*Plan, []ID)
		want []string
	}{
		{cell(false), []string{"tanh", "q, k, v and gates", "mLSTM output", "mLSTM'", "q, k, v and gates'"}},
		{cell(true), []string{"tanh", "q, k, v and gates", "mLSTM output", "mLSTM'", "q, k, v and gates'+"}},
	} {
		_, want := runPlan(t, cpu.Device{}, c.plan)
		names, got := runPlan(t, fuser{}, c.plan)
		if !slices.Equal(names, c.want) {
			t.Errorf("the steps are %q, want %q", names, c.want)
		}
		for k := range want {
			for i, x := range want[k] {
				if d := got[k][i] - x; !(d < 1e-5 && d > -1e-5) {
					t.Errorf("%s: element %d of result %d is %v, want %v", c.want, i, k, got[k][i], x)
				}
			}
		}
	}
}

// runPlan returns the names of the steps of a plan on a device and the kept values.
func runPlan(t *testing.T, d device.Device, make func(t *testing.T) (*Plan, []ID)) (names []string, results [][]float32) {
	t.Helper()
	plan, kept := make(t)
	given := map[ID]device.Buffer{}
	for id, v := range plan.Values {
		if !v.Input {
			continue
		}
		b, err := d.Alloc(v.Dtype, v.Shape.Size())
		if err != nil {
			t.Fatal(err)
		}
		x := float32s(b)
		for i := range x {
			x[i] = float32((i*7+id*3)%11)/5 - 1
		}
		given[ID(id)] = b
	}
	p, err := plan.LayOut(d).Bind(given)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps() {
		names = append(names, s.Op.Name())
	}
	for _, id := range kept {
		results = append(results, float32s(p.Buffers[id]))
	}
	return names, results
}
