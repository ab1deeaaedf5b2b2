package nodes

import (
	"sync"

	"github.com/gorgonia-xlstm/xlstm/internal/device"
	"github.com/gorgonia-xlstm/xlstm/internal/device/cpu"
	"github.com/gorgonia-xlstm/xlstm/internal/ops"
	"github.com/gorgonia-xlstm/xlstm/internal/plan"
	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
)

// Memory is the plan according to which the operations of a graph share memory;
// see ShareMemory.
type Memory struct {
	graph  *gorgonia.ExprGraph
	nodes  int // of the graph when it was planned
	plan   *planned
	layout func() *plan.Layout // of a tape machine
	arenas map[ops.Dtype]*arena
	next   int // the slot whose turn it is on a tape machine
	watch  func(n *gorgonia.Node, v gorgonia.Value)
}

// ShareMemory lets the operations of this package in graph g overwrite results
// that are no longer needed, and a Sequence fuse operations, so that a training
// step takes a third of the memory or less. Without it every result has separate
// memory. Call it when the graph is complete, including gradients and
// gorgonia.Read, and before a machine is created for it; a machine must then run
// the whole graph.
//
// After a run only these nodes are guaranteed to hold their values: inputs, the
// nodes in keep, the gradients of inputs (the results of gorgonia.Grad),
// scalars, and the nodes that Gorgonia's own operations compute or read. Any
// other value may have been overwritten, or on a Sequence not even exist: to read
// a node after a run, include it in keep.
//
// ShareMemory returns an error if Check finds a mistake in the graph, or if
// keep contains a node of another graph. A run that does not follow the plan,
// on another kind of machine or after a change of the graph, ends with an
// error.
func ShareMemory(g *gorgonia.ExprGraph, keep ...*gorgonia.Node) (*Memory, error) {
	if err := Check(g); err != nil {
		return nil, err
	}
	for i, n := range keep {
		if n == nil || n.Graph() != g {
			return nil, errors.Errorf("nodes: ShareMemory: node %d to keep is not in the graph", i)
		}
	}
	p, err := newPlanned(g)
	if err != nil {
		return nil, err
	}
	p.keep(keep...)
	m := &Memory{graph: g, nodes: len(p.sorted), plan: p, layout: sync.OnceValue(func() *plan.Layout { return p.LayOut(cpu.Device{}) })}
	m.arenas = make(map[ops.Dtype]*arena)
	for _, dt := range []ops.Dtype{ops.Float32, ops.Float64} {
		m.arenas[dt] = &arena{dtype: dt, layout: m.layout}
	}
	m.enlist()
	return m, nil
}

// enlist gives every operation its slot, and its results their places.
func (m *Memory) enlist() {
	i := 0
	for _, n := range m.plan.sorted {
		if o, ours := n.Op().(*op); ours {
			o.slot = &slot{memory: m, index: i, node: n}
			i++
		}
	}
	for k, n := range m.plan.steps {
		o, ours := n.Op().(*op)
		if !ours {
			continue // a sum of gradients, whose memory is Gorgonia's on a tape machine
		}
		o.exe.share(m.arenas[o.exe.dtype], m.plan.Steps[k].Out)
	}
}

// memoryOf returns the plan of a graph, nil if there is none.
func memoryOf(g *gorgonia.ExprGraph) *Memory {
	for _, n := range g.AllNodes() {
		if o, ours := n.Op().(*op); ours && o.slot != nil {
			return o.slot.memory
		}
	}
	return nil
}

// Bytes returns the sizes of the shared memory and of the kept results of this
// package's operations: those of a Sequence, if the graph can run on one.
func (m *Memory) Bytes() (shared, kept int64) {
	return m.plan.LayOut(m.plan.device()).Bytes()
}

// BytesWithout returns the size of all results if those of the given nodes are in
// memory of their own, as a Sequence can put them.
func (m *Memory) BytesWithout(elsewhere ...*gorgonia.Node) int64 {
	var ids []plan.ID
	for _, n := range elsewhere {
		ids = append(ids, m.plan.values[n][0])
	}
	shared, kept := m.plan.LayOut(m.plan.device(), ids...).Bytes()
	return shared + kept
}

// Watch calls f in the next runs with the value of each operation of this
// package as soon as it is computed, before it can be overwritten. A nil f
// stops this.
func (m *Memory) Watch(f func(n *gorgonia.Node, v gorgonia.Value)) { m.watch = f }

// slot is an operation's turn in a run on a tape machine.
type slot struct {
	memory *Memory
	index  int
	node   *gorgonia.Node
}

// enter reports an operation that runs out of its turn, when the memory that it
// reads or writes may be another's.
func (s *slot) enter() error {
	if s == nil {
		return nil
	}
	m := s.memory
	if s.index == 0 {
		if m.next = 0; len(m.graph.AllNodes()) != m.nodes {
			return errors.New("the graph has changed since ShareMemory; call it when the graph is complete")
		}
	}
	if s.index != m.next {
		return errors.New("not in the order that ShareMemory planned; run the whole graph on a tape machine")
	}
	m.next++
	return nil
}

// leave passes the result to the function given to Watch.
func (s *slot) leave(v gorgonia.Value) {
	if s != nil && s.memory.watch != nil {
		s.memory.watch(s.node, v)
	}
}

// arena is memory for results of one element type, made when the first of them is
// written.
type arena struct {
	dtype  ops.Dtype
	layout func() *plan.Layout
	made   device.Buffer
}

// place returns the memory of a value of so many elements.
func (a *arena) place(id plan.ID, size int) (device.Buffer, error) {
	l := a.layout()
	if a.made == nil {
		var err error
		if a.made, err = (cpu.Device{}).Alloc(a.dtype, l.Kept[a.dtype]+l.Shared[a.dtype]); err != nil {
			return nil, err
		}
	}
	return a.made.Slice(l.Offset[id], size), nil
}
