package plan

import (
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
)

// fuser is the CPU as a device that has all composites, and computes gates and norms
// again.
type fuser struct{ cpu.Device }

func (fuser) Fuses(ops.Composite) bool { return true }
func (fuser) Recomputes(op ops.Op) bool {
	switch op.(type) {
	case ops.Gated, ops.Norm:
		return true
	}
	return false
}

// blockPlan returns a plan like that of a block of the xLSTM-7B architecture and the loss, with
// its derivative, and the values that are kept.
func blockPlan(t *testing.T) (p *Plan, inputs, kept []ID) {
	t.Helper()
	const rows, width = 4, 6
	p = &Plan{}
	input := func(dt ops.Dtype, shape ...int) ID {
		id := p.Input(dt, shape)
		inputs = append(inputs, id)
		return id
	}
	add := adder(t, p)
	shape := ops.Shape{rows, width}
	norm := ops.Norm{N: rows, Width: width, Groups: 1, Eps: 1e-6, Weight: true}
	heads := ops.Norm{N: rows, Width: width, Groups: 2, Eps: 1e-6, Weight: true}
	gate := ops.Gated{Fn: ops.Sigmoid, Shape: shape}
	lin := ops.Linear{Rows: rows, In: width, Outs: []int{width}}
	grad := ops.LinearGrad{Linear: lin, Has: []bool{true}}
	softCap, loss := ops.SoftCap{Cap: 2, Shape: shape}, ops.CrossEntropy{N: rows, V: width}
	a, b, one := input(ops.Float32, shape...), input(ops.Float32, shape...), input(ops.Float32)
	targets := input(ops.Int, rows)
	w, wHeads := input(ops.Float32, width), input(ops.Float32, width)
	var m [3]ID
	for k := range m {
		m[k] = input(ops.Float32, width, width)
	}
	sum := add(ops.Add{Shape: shape}, a, b)[0]
	n := add(norm, sum, w)[0]
	h := add(lin, n, m[0])[0]
	hn := add(heads, h, wHeads)[0]
	o := add(lin, n, m[1])[0]
	g := add(gate, o, hn)[0]
	logits := add(lin, g, m[2])[0]
	capped := add(softCap, logits)[0]
	ce := add(loss, capped, targets)[0]
	dcapped := add(ops.CrossEntropyGrad{N: rows, V: width}, capped, targets, one)[0]
	dlogits := add(ops.SoftCapGrad{Cap: 2, Shape: shape}, capped, dcapped)[0]
	back := add(grad, g, m[2], dlogits)
	gates := add(ops.GatedGrad{Fn: ops.Sigmoid, Shape: shape}, o, hn, back[0])
	down := add(ops.NormGrad{Norm: heads}, h, wHeads, gates[1])
	first, second := add(grad, n, m[0], down[0]), add(grad, n, m[1], gates[0])
	dn := add(ops.ForkGrad{N: 2, Shape: shape}, first[0], second[0])[0]
	dnorm := add(ops.NormGrad{Norm: norm}, sum, w, dn)
	dx := add(ops.ForkGrad{N: 2, Shape: shape}, b, dnorm[0])[0]
	kept = []ID{ce, dx, dnorm[1], back[1], down[1], first[1], second[1], sum}
	p.Keep(kept...)
	return p, inputs, kept
}

// runBlock returns the kept values of the plan of a block on a device.
func runBlock(t *testing.T, d device.Device) (p *Program, results [][]float32) {
	t.Helper()
	plan, inputs, kept := blockPlan(t)
	given := make(map[ID]device.Buffer)
	for k, id := range inputs {
		v := plan.Values[id]
		b, err := d.Alloc(v.Dtype, v.Shape.Size())
		if err != nil {
			t.Fatal(err)
		}
		if x, float := cpu.Elements(b).([]float32); float {
			for i := range x {
				x[i] = float32((i*7+k*3)%11)/5 - 1
			}
		} else {
			copy(cpu.Elements(b).([]int), []int{3, -1, 5, 0})
		}
		given[id] = b
	}
	p, err := plan.LayOut(d).Bind(given)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	for _, id := range kept {
		results = append(results, float32s(p.Buffers[id]))
	}
	return p, results
}

// TestFusedPlans: with composites, and values computed again, a plan gives the same
// results in less memory.
func TestFusedPlans(t *testing.T) {
	plain, want := runBlock(t, cpu.Device{})
	fused, got := runBlock(t, fuser{})
	for k := range want {
		for i, x := range want[k] {
			if d := got[k][i] - x; !(d < 1e-5 && d > -1e-5) {
				t.Errorf("element %d of result %d is %v, want %v", i, k, got[k][i], x)
			}
		}
	}
	var names []string
	for _, s := range fused.Steps() {
		names = append(names, s.Op.Name())
	}
	all := []string{"+norm", "linears", "σ⊙norm", "linear", "loss, loss'",
		"linear'", "σ⊙norm'", "linears' of rmsNorm"}
	if !slices.Equal(names, all) {
		t.Errorf("the steps are %q, want %q", names, all)
	}
	if n := len(plain.Steps()); n != 19 {
		t.Errorf("%d steps on a device without composites", n)
	}
}

// TestLogitsAreOverwritten: the gradient of the logits lies in their memory.
func TestLogitsAreOverwritten(t *testing.T) {
	plan, _, _ := blockPlan(t)
	l := plan.LayOut(fuser{})
	for _, s := range l.Plan.Steps {
		if _, ok := s.Op.(ops.LossAndGrad); ok {
			if l.Offset[s.Out[1]] != l.Offset[s.In[0]] || l.Offset[s.In[0]] < 0 {
				t.Errorf("logits at %d, their gradient at %d", l.Offset[s.In[0]], l.Offset[s.Out[1]])
			}
			return
		}
	}
	t.Error("there is no cross entropy")
}

// keeper is the CPU as a device that keeps 7 floats of mLSTM cells for their
// derivatives.
type keeper struct{ cpu.Device }

func (keeper) Tape(ops.MLSTM, ops.Dtype) int { return 7 }

// TestTapesLastFromCellsToTheirDerivatives: a cell with a derivative gets a tape, one
// without gets none.
func TestTapesLastFromCellsToTheirDerivatives(t *testing.T) {
	cell := ops.MLSTM{B: 1, T: 3, NH: 1, DQK: 2, DHV: 2, Chunk: 3, ScaleQ: 1, ScaleK: 1, Eps: 1e-6, Resets: true}
	var p Plan
	add := adder(t, &p)
	var in []ID
	for _, arg := range cell.Inputs() {
		dt := ops.Float32
		if arg.Int {
			dt = ops.Int
		}
		in = append(in, p.Input(dt, arg.Shape))
	}
	out := add(cell, in...)
	alone := add(cell, in...)
	dh := add(ops.Add{Shape: ops.Shape{3, 2}}, out[0], alone[0])[0]
	resets := in[5]
	grads := add(ops.MLSTMGrad{MLSTM: cell, Has: [4]bool{true}}, append(slices.Clone(in[:5]), out[0], dh, resets)...)
	p.Keep(grads...)
	steps := p.LayOut(keeper{}).Plan
	kept := cell
	kept.Tape = 7
	first, second, grad := steps.Steps[0], steps.Steps[1], steps.Steps[3]
	if first.Op != ops.Op(kept) || second.Op != ops.Op(cell) || grad.Op != ops.Op(ops.MLSTMGrad{MLSTM: kept, Has: [4]bool{true}}) {
		t.Errorf("the steps are %v, %v and %v", ops.Key(first.Op), ops.Key(second.Op), ops.Key(grad.Op))
	}
	tape := first.Out[4]
	if want := []ID{in[0], in[1], in[2], in[3], in[4], out[0], tape, dh, resets}; !slices.Equal(grad.In, want) {
		t.Errorf("the derivative reads %v instead of %v", grad.In, want)
	}
	if v := steps.Values[tape]; v.First != 0 || v.Last != 3 || v.Shape.Size() != 7 {
		t.Errorf("the tape is %+v", v)
	}
	if len(p.Steps[0].Out) != 4 || p.Steps[0].Op != ops.Op(cell) {
		t.Error("the plan itself has changed")
	}
}

// TestSumsMergeWithTheirFirstTerm: a sum of gradients becomes part of the step that
// writes the first of them, unless another term comes later or something else reads it.
func TestSumsMergeWithTheirFirstTerm(t *testing.T) {
	const rows, width = 3, 4
	shape := ops.Shape{rows, width}
	gates := ops.MLSTMGatesGrad{MLSTMGates: ops.MLSTMGates{N: rows, NH: 2, Widths: [3]int{width, width, width}}, Has: [2]bool{true, true}}
	build := func() (p *Plan, kept []ID) {
		p = &Plan{}
		add := adder(t, p)
		var in []ID
		for _, arg := range gates.Inputs() {
			in = append(in, p.Input(ops.Float32, arg.Shape))
		}
		a := add(ops.Activate{Fn: ops.Tanh, Shape: shape}, in[0])[0]
		g := add(gates, in...)
		late := add(ops.Activate{Fn: ops.Tanh, Shape: shape}, in[1])[0]
		third := add(ops.ForkGrad{N: 2, Shape: shape}, g[2], a)[0]
		first := add(ops.ForkGrad{N: 3, Shape: shape}, g[0], a, in[1])[0]
		second := add(ops.ForkGrad{N: 2, Shape: shape}, g[1], late)[0]
		kept = []ID{third, first, second, g[3]}
		p.Keep(kept...)
		return p, kept
	}
	results := func(d device.Device) (values [][]float32, steps []Step) {
		p, kept := build()
		given := make(map[ID]device.Buffer)
		for id, v := range p.Values {
			if !v.Input {
				continue
			}
			x := make([]float32, v.Shape.Size())
			for i := range x {
				x[i] = float32((i*7+id*3)%11)/5 - 1
			}
			b, err := cpu.Of(x)
			if err != nil {
				t.Fatal(err)
			}
			given[ID(id)] = b
		}
		return outcome(t, p, d, given, kept)
	}
	want, _ := results(cpu.Device{})
	got, steps := results(fuser{})
	for k := range want {
		if !slices.Equal(got[k], want[k]) {
			t.Errorf("result %d is %v, want %v", k, got[k], want[k])
		}
	}
	plus, ok := steps[1].Op.(ops.Plus)
	if !ok || !slices.Equal(plus.N, []int{2, 0, 1}) || len(steps) != 4 {
		t.Errorf("%d steps, the second is %s", len(steps), ops.Key(steps[1].Op))
	}
	if _, ok := steps[3].Op.(ops.ForkGrad); !ok {
		t.Errorf("the sum with a later term became %s", steps[3].Op.Name())
	}
}

// rounder is a fuser that stores what norms and products read, and their results, in
// bfloat16 if the CPU could.
type rounder struct{ fuser }

func (rounder) AsHalf(b device.Buffer, n int) device.Buffer { return b }
func (rounder) Half(op ops.Op) device.Half {
	switch op.(type) {
	case ops.Norm, ops.Activate:
		return device.Half{In: []bool{true}, Out: []bool{true}}
	case ops.AddNorm:
		return device.Half{In: []bool{false, true}, Out: []bool{false, true}}
	case ops.Twin:
		return device.Half{In: []bool{false, true}, Out: []bool{false, true, true}}
	}
	return device.Half{}
}

// TestResidualStreamsHaveTwins: a sum that the next sum reads in float32 is written in
// bfloat16 too for the others that read it, and one that nothing else reads is not.
func TestResidualStreamsHaveTwins(t *testing.T) {
	const rows, width = 3, 5
	var p Plan
	add := func(op ops.Op, in ...ID) ID { return adder(t, &p)(op, in...)[0] }
	flat := ops.Shape{rows, width}
	norm := ops.Norm{N: rows, Width: width, Groups: 1, Eps: 1e-6}
	x := p.Input(ops.Float32, flat)
	first := add(ops.Add{Shape: flat}, x, x)
	y := add(norm, first)
	second := add(ops.Add{Shape: flat}, first, y)
	z := add(norm, second)
	late := add(ops.Activate{Fn: ops.Tanh, Shape: flat}, first)
	p.Keep(second, z, late)
	steps := p.LayOut(rounder{}).Plan
	one, two, reader := steps.Steps[0], steps.Steps[1], steps.Steps[2]
	if _, ok := one.Op.(ops.Twin); !ok || len(one.Out) != 3 || reader.In[0] != one.Out[2] || two.In[0] != one.Out[0] {
		t.Fatalf("the first sum is %s and writes %v; %v and %v are read", ops.Key(one.Op), one.Out, two.In, reader.In)
	}
	if got, want := steps.Values[one.Out[2]].Dtype, ops.BFloat16; got != want || steps.Values[one.Out[0]].Dtype != ops.Float32 {
		t.Errorf("the twin is in %v, the sum in %v", got, steps.Values[one.Out[0]].Dtype)
	}
	if v := steps.Values[one.Out[0]]; v.Last != 1 {
		t.Errorf("the sum is needed up to step %d", v.Last)
	}
	if _, ok := two.Op.(ops.Twin); ok {
		t.Error("the second sum has a twin")
	}
}

// TestMapsOfGatesAreDerivedInOne: of a gate whose result is computed again for the
// derivative of the map that reads it, the map and the gate have one derivative, with the
// same results.
func TestMapsOfGatesAreDerivedInOne(t *testing.T) {
	const rows, width, out = 4, 5, 3
	flat := ops.Shape{rows, width}
	gate, lin := ops.Gated{Fn: ops.SiLU, Shape: flat}, ops.Linear{Rows: rows, In: width, Outs: []int{out}}
	run := func(d device.Device) (results [][]float32, steps []Step) {
		var p Plan
		add := adder(t, &p)
		given := make(map[ID]device.Buffer)
		input := func(shape ...int) ID {
			id := p.Input(ops.Float32, shape)
			x := make([]float32, ops.Shape(shape).Size())
			for i := range x {
				x[i] = float32((i*7+int(id)*3)%11)/5 - 1
			}
			b, err := cpu.Of(x)
			if err != nil {
				t.Fatal(err)
			}
			given[id] = b
			return id
		}
		g, u, w, up := input(flat...), input(flat...), input(out, width), input(rows, out)
		y := add(gate, g, u)[0]
		z := add(lin, y, w)[0]
		for range farApart {
			z = add(ops.Activate{Fn: ops.Tanh, Shape: ops.Shape{rows, out}}, z)[0]
		}
		back := add(ops.LinearGrad{Linear: lin, Has: []bool{true}}, y, w, up)
		down := add(ops.GatedGrad(gate), g, u, back[0])
		kept := []ID{z, back[1], down[0], down[1]}
		p.Keep(kept...)
		return outcome(t, &p, d, given, kept)
	}
	want, _ := run(cpu.Device{})
	got, steps := run(fuser{})
	for k := range want {
		if !slices.Equal(got[k], want[k]) {
			t.Errorf("result %d is %v, want %v", k, got[k], want[k])
		}
	}
	last := steps[len(steps)-1].Op
	if again, ok := last.(ops.LinearGradAgain); !ok || ops.Key(again.Inner) != ops.Key(gate) || len(steps) != 3+farApart {
		t.Errorf("%d steps, the last is %s", len(steps), ops.Key(last))
	}
}

// outcome runs a plan, as a device lays it out, on the values given. It returns the
// values kept and the steps that computed them.
func outcome(t *testing.T, p *Plan, d device.Device, given map[ID]device.Buffer, kept []ID) (values [][]float32, steps []Step) {
	t.Helper()
	program, err := p.LayOut(d).Bind(given)
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Run(); err != nil {
		t.Fatal(err)
	}
	for _, id := range kept {
		values = append(values, float32s(program.Buffers[id]))
	}
	return values, program.Steps()
}
