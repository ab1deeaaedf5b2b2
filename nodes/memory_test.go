package nodes

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

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
		if !ours {
			continue
		}
		for k := range o.buffers() {
			switch x := o.exe.buffer(k).Data().(type) {
			case []float32:
				for i := range x {
					x[i] = float32(math.NaN())
				}
			case []float64:
				for i := range x {
					x[i] = math.NaN()
				}
			}
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
			y := must(Norm(NormConfig{Eps: 0.1}, hs[0], x[2]))
			gates := split(LinearSplit(y, x[1], nil, 4, 4))
			g := must(GatedActivation("gelu", gates[0], must(gorgonia.Tanh(gates[1]))))
			h = must(Add(must(Linear(g, x[3], nil)), must(Add(hs[1], must(SiLU(hs[2]))))))
		}
		return []*gorgonia.Node{must(Linear(h, x[4], nil)), must(gorgonia.Tanh(h))}, nil
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

// TestPlannedMemoryIsWhatIsAllocated: every buffer is in an arena or has memory of
// its own, as planned, and no other memory is made.
func TestPlannedMemoryIsWhatIsAllocated(t *testing.T) {
	for name, c := range memoryCases() {
		t.Run(name, func(t *testing.T) {
			m, memory := shared(t, c, tensor.Float32)
			m.run(t, c.values(1))
			var arenas, own, all int64
			for _, a := range memory.arenas {
				if a.made != nil {
					arenas += int64(4 * len(a.made.([]float32)))
				}
			}
			for _, n := range m.xs[0].Graph().AllNodes() {
				o, ours := n.Op().(*op)
				if !ours {
					continue
				}
				for k := range o.buffers() {
					size := int64(o.exe.buffer(k).MemSize())
					all += size
					if e := o.exe.(*exec[float32]); e.offset[k] < 0 {
						own += size
					}
				}
			}
			if s, kept := memory.Bytes(); s != arenas || kept != own {
				t.Errorf("planned %d bytes shared and %d kept, allocated %d and %d", s, kept, arenas, own)
			}
			if arenas+own > all {
				t.Errorf("%d bytes where %d were enough without sharing", arenas+own, all)
			}
			if name == "layers" && 2*(arenas+own) > all+own {
				t.Errorf("%d bytes shared and %d kept of %d: little is shared", arenas, own, all)
			}
		})
	}
}

// TestLayOut: what is alive at one time does not overlap, and little is wasted.
func TestLayOut(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var bs []*buffer
		live := make([]int, 60)
		for range 1 + r.IntN(40) {
			first := r.IntN(50)
			b := &buffer{shape: tensor.Shape{1 + r.IntN(100)}, first: first, last: first + r.IntN(10)}
			for i := b.first; i <= b.last; i++ {
				live[i] += b.shape.TotalSize()
			}
			bs = append(bs, b)
		}
		size := layOut(bs)
		for i, a := range bs {
			if a.offset < 0 || a.end() > size {
				t.Fatalf("%+v lies outside %d", a, size)
			}
			for _, b := range bs[:i] {
				if a.first <= b.last && b.first <= a.last && a.offset < b.end() && b.offset < a.end() {
					t.Fatalf("%+v and %+v overlap", a, b)
				}
			}
		}
		if need := slices.Max(live); 2*size > 3*need {
			t.Errorf("%d elements for %d that are alive at once", size, need)
		}
	}
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
		x = must(Add(x, x))
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
	memory.Watch(func(_ *gorgonia.Node, v gorgonia.Value) { watched = append(watched, floats(v)[0]) })
	runAll(t, gorgonia.NewTapeMachine(g))
	if want := []float64{2, 4, 8, 16, 32, 64}; !slices.Equal(watched, want) {
		t.Errorf("watched %v, want %v", watched, want)
	}
	wantClose(t, "kept", floats(ns[1].Value()), []float64{4, 8, 12, 16, 20, 24}, 0)
	wantClose(t, "the result", floats(ns[5].Value()), []float64{64, 128, 192, 256, 320, 384}, 0)
	if shared, kept := memory.Bytes(); shared != 2*6*8 || kept != 2*6*8 {
		t.Errorf("%d bytes shared and %d kept, want two matrices each", shared, kept)
	}
	if floats(ns[0].Value())[0] == 2 {
		t.Error("nothing is shared")
	}
}

func TestShareMemoryRefusesWhatItCannotPlan(t *testing.T) {
	g, ns := reluChain(t)
	_, err := ShareMemory(g, nil)
	wantError(t, err, "ShareMemory", "node 0")
	_, err = ShareMemory(g, ns[0], matrix(gorgonia.NewGraph(), "x", 2, 3))
	wantError(t, err, "ShareMemory", "node 1")
	matrix(g, "x", 3, 3)
	_, err = ShareMemory(g)
	wantError(t, err, "name x")
}

func TestRunsThatDoNotFollowThePlanAreErrors(t *testing.T) {
	t.Run("a part of the graph", func(t *testing.T) {
		g, ns := reluChain(t)
		must(Add(ns[0], ns[1]))
		if _, err := ShareMemory(g); err != nil {
			t.Fatal(err)
		}
		sub := g.ExactSubgraphRoots(must(Add(ns[0], ns[1])))
		m := gorgonia.NewTapeMachine(sub)
		defer m.Close()
		wantError(t, m.RunAll(), "ShareMemory")
	})
	t.Run("a graph that has grown", func(t *testing.T) {
		g, ns := reluChain(t)
		if _, err := ShareMemory(g); err != nil {
			t.Fatal(err)
		}
		must(gorgonia.Tanh(ns[0]))
		m := gorgonia.NewTapeMachine(g)
		defer m.Close()
		wantError(t, m.RunAll(), "changed since ShareMemory")
	})
}

// TestRunAfterAFailedRun: a run that ended in the middle does not disturb the next.
func TestRunAfterAFailedRun(t *testing.T) {
	g := gorgonia.NewGraph()
	tokens := ids(g, "ids", 0, 9)
	w := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(2, 1), gorgonia.WithName("w"), gorgonia.WithValue(dense(tensor.Float64, []int{2, 1}, []float64{3, 4})))
	y := must(Add(must(Embedding(tokens, must(Add(w, w)))), must(SiLU(matrix(g, "x", 2, 1)))))
	if err := gorgonia.Let(g.ByName("x")[0], dense(tensor.Float64, []int{2, 1}, []float64{0, 0})); err != nil {
		t.Fatal(err)
	}
	if _, err := ShareMemory(g, y); err != nil {
		t.Fatal(err)
	}
	m := gorgonia.NewTapeMachine(g)
	defer m.Close()
	wantError(t, m.RunAll(), "id 9")
	tokens.Value().Data().([]int)[1] = 1
	m.Reset()
	runAll(t, m)
	wantClose(t, "y", floats(y.Value()), []float64{6, 8}, 0)
}
