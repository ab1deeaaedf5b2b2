package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/opstest"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
)

// TestFusedKernelsComputeTheirStages compares the kernels of composites with the
// operations that they stand for.
func TestFusedKernelsComputeTheirStages(t *testing.T) {
	fused := 0
	for i, e := range opstest.Examples() {
		c, ok := e.Op.(ops.Composite)
		if !ok || !(Fusing{}).Fuses(c) {
			continue
		}
		fused++
		for dt, tolerance := range map[ops.Dtype]float64{ops.Float64: 1e-12, ops.Float32: 1e-5} {
			t.Run(fmt.Sprintf("%d %s %v", i, e.Op.Name(), dt), func(t *testing.T) {
				want := run(t, e, dt)
				got := testutil.Must(e.Run(Fusing{}, dt, 1))
				for name, w := range want {
					top := 0.01
					for _, x := range w {
						top = max(top, math.Abs(x))
					}
					for k, x := range got[name] {
						if !(math.Abs(x-w[k]) <= tolerance*top) {
							t.Fatalf("element %d of %s is %v, want %v", k, name, x, w[k])
						}
					}
				}
				if again := testutil.Must(e.Run(Fusing{}, dt, 1)); !slices.EqualFunc(sorted(got), sorted(again), slices.Equal) {
					t.Error("the second run gives other results")
				}
			})
		}
	}
	if fused < 10 {
		t.Errorf("%d examples of composites with kernels", fused)
	}
}

// TestResultsOverInputs: an operation that may write a result over an input gives the
// same bits there as elsewhere.
func TestResultsOverInputs(t *testing.T) {
	seen := make(map[string]bool)
	for i, e := range append(opstest.Examples(), taped(false)...) {
		for _, op := range []ops.Op{e.Op, e.Grad} {
			if op == nil || len((Fusing{}).Over(op)) == 0 {
				continue
			}
			seen[op.Name()] = true
			for _, pair := range (Fusing{}).Over(op) {
				apart, over := overlaid(t, op, -1, -1), overlaid(t, op, pair[0], pair[1])
				for k := range apart {
					if !slices.Equal(over[k], apart[k]) {
						t.Errorf("example %d, %s: result %d is another with result %d over input %d", i, op.Name(), k, pair[0], pair[1])
					}
				}
			}
		}
	}
	if len(seen) < 8 {
		t.Errorf("only of %v", seen)
	}
}

// taped returns cells as operations of their own, without and with maps, and without the
// new memory, each with its derivative and a tape for it.
func taped(state bool) (all []opstest.Example) {
	m := ops.MLSTM{B: 2, T: 70, NH: 2, DQK: 8, DHV: 8, Chunk: 16, ScaleQ: 1, ScaleK: 0.5, Eps: 1e-6, State: state}
	m.Tape = Fusing{}.Tape(m, ops.Float32)
	grad := ops.MLSTMGrad{MLSTM: m, Has: [4]bool{true, state, state, state}}
	maps := ops.Headwise{N: m.B * m.T, Heads: 4, In: 4, Out: 4, Stride: 4}
	all = append(all, opstest.Example{Op: m, Grad: grad}, opstest.Example{Op: ops.MLSTMMapped{MLSTM: m, Map: maps}, Grad: ops.MLSTMMappedGrad{MLSTMGrad: grad, Map: maps}})
	if !state {
		all = append(all, opstest.Example{Op: ops.MLSTMOutput{MLSTM: m}, Grad: grad},
			opstest.Example{Op: ops.MLSTMMapped{MLSTM: m, Map: maps, Alone: true}, Grad: ops.MLSTMMappedGrad{MLSTMGrad: grad, Map: maps}})
	}
	return all
}

// untaped returns an operation of taped without its tape.
func untaped(op ops.Op) ops.Op {
	switch op := op.(type) {
	case ops.MLSTM:
		op.Tape = 0
		return op
	case ops.MLSTMGrad:
		op.Tape = 0
		return op
	case ops.MLSTMOutput:
		op.Tape = 0
		return op
	case ops.MLSTMMapped:
		op.Tape = 0
		return op
	case ops.MLSTMMappedGrad:
		op.Tape = 0
		return op
	}
	return op
}

// TestTapesChangeNothing: the derivative of a cell gives the same bits from the memories
// that the forward pass has kept.
func TestTapesChangeNothing(t *testing.T) {
	for _, e := range append(taped(false), taped(true)...) {
		want := testutil.Must(opstest.Example{Op: untaped(e.Op), Grad: untaped(e.Grad)}.Run(Fusing{}, ops.Float32, 1))
		got := testutil.Must(e.Run(Fusing{}, ops.Float32, 1))
		if len(got["tape"]) != 2*2*(4*(8*8+8+1)+70) {
			t.Errorf("%s: a tape of %d", ops.Key(e.Op), len(got["tape"]))
		}
		for name := range want {
			if !slices.Equal(got[name], want[name]) {
				t.Errorf("%s: %s differs", ops.Key(e.Op), name)
			}
		}
	}
}

// TestWhichCellsHaveTapes: those of several chunks whose memories are not too many. There
// are also the denominators of all steps on them.
func TestWhichCellsHaveTapes(t *testing.T) {
	cell := func(b, steps int, form ops.Form, resets bool) ops.MLSTM {
		return ops.MLSTM{B: b, T: steps, NH: 4, DQK: 128, DHV: 128, Form: form, Chunk: ops.DefaultChunk, Resets: resets}
	}
	const memory = 128*128 + 128 + 1
	for _, c := range []struct {
		op   ops.MLSTM
		want int
	}{
		{cell(4, 1024, ops.Chunkwise, false), 4 * 4 * (15*memory + 1024)},
		{cell(1, 4096, ops.Chunkwise, false), 4 * (63*memory + 4096)},
		{cell(1, 64, ops.Chunkwise, false), 0},
		{cell(1, 65536, ops.Chunkwise, false), 0},
		{cell(1, 1024, ops.Chunkwise, true), 0},
		{cell(1, 1024, ops.Parallel, false), 0},
		{cell(1, 1024, ops.Recurrent, false), 0},
	} {
		if n := (Fusing{}).Tape(c.op, ops.Float32); n != c.want {
			t.Errorf("%s has a tape of %d, want %d", ops.Key(c.op), n, c.want)
		}
	}
}

// TestWhichResultsAreComputedAgain: long ones of what takes little time.
func TestWhichResultsAreComputedAgain(t *testing.T) {
	for rows, want := range map[int]bool{1 << 12: false, 1<<12 + 1: true} {
		norm := ops.Norm{N: rows, Width: 512, Groups: 4}
		for _, op := range []ops.Op{norm, ops.MLSTMExit{Norm: norm}, ops.Gated{Fn: ops.GELU, Shape: ops.Shape{rows, 512}},
			ops.MLSTMEntry{Conv: ops.Conv{B: 1, T: rows, D: 512, K: 4, SiLU: true}}} {
			if again := (Fusing{}).Recomputes(op); again != want {
				t.Errorf("%s of %d rows is computed again: %v, want %v", op.Name(), rows, again, want)
			}
		}
		if add := (ops.Add{Shape: ops.Shape{rows, 512}}); (Fusing{}).Recomputes(add) {
			t.Errorf("%s is computed again", add.Name())
		}
	}
}

// overlaid returns the results of an operation on random numbers, one of them
// written over an input unless out is negative.
func overlaid(t *testing.T, op ops.Op, out, in int) (results [][]float32) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	var reads, writes []device.Buffer
	outputs := op.Outputs()
	var shared device.Buffer
	for k, arg := range op.Inputs() {
		size := arg.Shape.Size()
		b := testutil.Must(Fusing{}.Alloc(arg.Dtype(ops.Float32), size))
		if k == in {
			shared = testutil.Must(Fusing{}.Alloc(ops.Float32, max(size, outputs[out].Shape.Size())))
			b = shared.Slice(0, size)
		}
		if x, float := Elements(b).([]float32); float {
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
		}
		reads = append(reads, b)
	}
	for k, arg := range outputs {
		b := testutil.Must(Fusing{}.Alloc(ops.Float32, arg.Shape.Size()))
		if k == out {
			b = shared.Slice(0, arg.Shape.Size())
		}
		writes = append(writes, b)
		results = append(results, Elements(b).([]float32))
	}
	if err := testutil.Must(Fusing{}.Bind(op, writes, reads, nil))(); err != nil {
		t.Fatal(err)
	}
	return results
}

// sorted returns the results in the order of their names.
func sorted(results map[string][]float64) (list [][]float64) {
	var names []string
	for name := range results {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		list = append(list, results[name])
	}
	return list
}
