package nodes

import (
	"math"
	"slices"
	"testing"

	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/floats"
	"github.com/gorgonia-xlstm/xlstm/internal/testutil"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// shared compiles a case whose operations share memory.
func shared(t *testing.T, c graphCase, dt tensor.Dtype) (*compiled, *Memory) {
	t.Helper()
	m := compile(t, c, dt)
	memory, err := ShareMemory(m.xs[0].Graph())
	if err != nil {
		t.Fatal(err)
	}
	return m, memory
}

// poison overwrites what the last run left in the results of all operations.
func poison(g *gorgonia.ExprGraph) {
	for _, n := range g.AllNodes() {
		o, ours := n.Op().(*op)
		if !ours || o.exe == nil {
			continue
		}
		for _, b := range o.exe.out {
			x := floats.Of(cpu.Elements(b))
			x.Write(slices.Repeat([]float64{math.NaN()}, x.Len()))
		}
	}
}

// layersCase is a small network with everything in it that shares memory or must
// not: packed results, forks, Gorgonia's own operations between ours, a result
// that is read late.
func layersCase() graphCase {
	return graphCase{[]input{in("x", 6, 4), in("up", 8, 4), in("norm", 4), in("down", 4, 4), in("head", 3, 4)}, func(x []*gorgonia.Node) ([]*gorgonia.Node, error) {
		h := x[0]
		for range 4 {
			hs := split(Fork(h, 3))
			y := testutil.Must(Norm(NormConfig{Eps: 0.1}, hs[0], x[2]))
			gates := split(LinearSplit(y, x[1], nil, 4, 4))
			g := testutil.Must(GatedActivation("gelu", gates[0], testutil.Must(gorgonia.Tanh(gates[1]))))
			h = testutil.Must(Add(testutil.Must(Linear(g, x[3], nil)), testutil.Must(Add(hs[1], testutil.Must(SiLU(hs[2]))))))
		}
		return []*gorgonia.Node{testutil.Must(Linear(h, x[4], nil)), testutil.Must(gorgonia.Tanh(h))}, nil
	}}
}

func split(ns []*gorgonia.Node, err error) []*gorgonia.Node {
	if err != nil {
		panic(err)
	}
	return ns
}

func memoryCases() map[string]graphCase {
	all := cases()
	all["layers"] = layersCase()
	return all
}

// TestSharedMemoryChangesNoResult: whatever shares memory, and whatever lay there
// before, the results are the same to the bit.
func TestSharedMemoryChangesNoResult(t *testing.T) {
	for name, c := range memoryCases() {
		t.Run(name, func(t *testing.T) {
			for _, dt := range []tensor.Dtype{tensor.Float32, tensor.Float64} {
				plain := compile(t, c, dt)
				m, _ := shared(t, c, dt)
				for seed := range uint64(3) {
					values := c.values(seed)
					want, got := plain.bits(t, values), m.bits(t, values)
					if !slices.Equal(got, want) {
						t.Errorf("%v, run %d: other results than with memory of their own", dt, seed)
					}
					poison(plain.xs[0].Graph())
					poison(m.xs[0].Graph())
				}
			}
		})
	}
}

// TestPlannedMemoryIsWhatIsAllocated: the arena of a graph's results is as large as
// planned.
func TestPlannedMemoryIsWhatIsAllocated(t *testing.T) {
	for name, c := range memoryCases() {
		t.Run(name, func(t *testing.T) {
			m, memory := shared(t, c, tensor.Float32)
			m.run(t, c.values(1))
			var arenas, all int64
			for _, a := range memory.arenas {
				if a.made != nil {
					arenas += int64(4 * a.made.Len())
				}
			}
			for _, step := range memory.plan.Steps {
				for _, id := range step.Out {
					all += aligned(4 * memory.plan.Values[id].Shape.Size())
				}
			}
			s, kept := memory.Bytes()
			if s+kept != arenas {
				t.Errorf("planned %d bytes shared and %d kept, allocated %d", s, kept, arenas)
			}
			if arenas > all {
				t.Errorf("%d bytes where %d were enough without sharing", arenas, all)
			}
			if name == "layers" && 2*arenas > all+kept {
				t.Errorf("%d bytes, %d of them kept, of %d: little is shared", arenas, kept, all)
			}
		})
	}
}

// aligned is the size in an arena of so many bytes.
func aligned(bytes int) int64 {
	line := cpu.Device{}.Alignment()
	return int64((bytes + line - 1) / line * line)
}

// reluChain is a chain of operations, each of which could do with the memory of
// the last but one, and its nodes.
func reluChain(t *testing.T) (g *gorgonia.ExprGraph, ns []*gorgonia.Node) {
	t.Helper()
	g = gorgonia.NewGraph()
	x := matrix(g, "x", 2, 3)
	if err := gorgonia.Let(x, dense(tensor.Float64, []int{2, 3}, []float64{1, 2, 3, 4, 5, 6})); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		x = testutil.Must(Add(x, x))
		ns = append(ns, x)
	}
	return g, ns
}

func runAll(t *testing.T, m gorgonia.VM) {
	t.Helper()
	t.Cleanup(func() { m.Close() })
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
}

func TestKeptAndWatchedValues(t *testing.T) {
	g, ns := reluChain(t)
	memory, err := ShareMemory(g, ns[1], ns[5])
	if err != nil {
		t.Fatal(err)
	}
	var watched []float64
	memory.Watch(func(_ *gorgonia.Node, v gorgonia.Value) { watched = append(watched, elementsOf(v)[0]) })
	runAll(t, gorgonia.NewTapeMachine(g))
	if want := []float64{2, 4, 8, 16, 32, 64}; !slices.Equal(watched, want) {
		t.Errorf("watched %v, want %v", watched, want)
	}
	wantClose(t, "kept", elementsOf(ns[1].Value()), []float64{4, 8, 12, 16, 20, 24}, 0)
	wantClose(t, "the result", elementsOf(ns[5].Value()), []float64{64, 128, 192, 256, 320, 384}, 0)
	if shared, kept := memory.Bytes(); shared != 64 || kept != 2*64 {
		t.Errorf("%d bytes shared and %d kept, want one matrix and two", shared, kept)
	}
	if elementsOf(ns[0].Value())[0] == 2 {
		t.Error("nothing is shared")
	}
}

func TestShareMemoryRefusesWhatItCannotPlan(t *testing.T) {
	g, ns := reluChain(t)
	_, err := ShareMemory(g, nil)
	testutil.WantError(t, err, "ShareMemory", "node 0")
	_, err = ShareMemory(g, ns[0], matrix(gorgonia.NewGraph(), "x", 2, 3))
	testutil.WantError(t, err, "ShareMemory", "node 1")
	matrix(g, "x", 3, 3)
	_, err = ShareMemory(g)
	testutil.WantError(t, err, "name x")
}

func TestRunsThatDoNotFollowThePlanAreErrors(t *testing.T) {
	t.Run("a part of the graph", func(t *testing.T) {
		g, ns := reluChain(t)
		testutil.Must(Add(ns[0], ns[1]))
		if _, err := ShareMemory(g); err != nil {
			t.Fatal(err)
		}
		sub := g.ExactSubgraphRoots(testutil.Must(Add(ns[0], ns[1])))
		m := gorgonia.NewTapeMachine(sub)
		defer m.Close()
		testutil.WantError(t, m.RunAll(), "ShareMemory")
	})
	t.Run("a graph that has grown", func(t *testing.T) {
		g, ns := reluChain(t)
		if _, err := ShareMemory(g); err != nil {
			t.Fatal(err)
		}
		testutil.Must(gorgonia.Tanh(ns[0]))
		m := gorgonia.NewTapeMachine(g)
		defer m.Close()
		testutil.WantError(t, m.RunAll(), "changed since ShareMemory")
	})
}

// TestRunAfterAFailedRun: a run that ended in the middle does not disturb the next.
func TestRunAfterAFailedRun(t *testing.T) {
	g := gorgonia.NewGraph()
	tokens := ids(g, "ids", 0, 9)
	w := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(2, 1), gorgonia.WithName("w"), gorgonia.WithValue(dense(tensor.Float64, []int{2, 1}, []float64{3, 4})))
	y := testutil.Must(Add(testutil.Must(Embedding(tokens, testutil.Must(Add(w, w)))), testutil.Must(SiLU(matrix(g, "x", 2, 1)))))
	if err := gorgonia.Let(g.ByName("x")[0], dense(tensor.Float64, []int{2, 1}, []float64{0, 0})); err != nil {
		t.Fatal(err)
	}
	if _, err := ShareMemory(g, y); err != nil {
		t.Fatal(err)
	}
	m := gorgonia.NewTapeMachine(g)
	defer m.Close()
	testutil.WantError(t, m.RunAll(), "id 9")
	tokens.Value().Data().([]int)[1] = 1
	m.Reset()
	runAll(t, m)
	wantClose(t, "y", elementsOf(y.Value()), []float64{6, 8}, 0)
}
