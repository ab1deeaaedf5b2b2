package nodes

import (
	"cmp"
	"slices"

	"github.com/pkg/errors"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Memory is the plan by which the operations of a graph share memory; see
// ShareMemory.
type Memory struct {
	graph  *gorgonia.ExprGraph
	nodes  int // of the graph when it was planned
	arenas map[tensor.Dtype]*arena
	kept   int64
	next   int // the slot whose turn it is
	watch  func(n *gorgonia.Node, v gorgonia.Value)
}

// ShareMemory lets the operations of this package in graph g write their results
// over those that nobody reads any more, so that a training step takes a third of
// the memory or less. Without it every result has memory of its own. Call it when
// the graph is complete, gradients and gorgonia.Read included, and before a
// machine is made for it; a machine must then run the whole graph.
//
// After a run only these nodes are sure to hold their values: inputs, the nodes
// in keep, the gradients of inputs (what gorgonia.Grad returns for them), and
// whatever is computed or read by Gorgonia's own operations. Every other value
// may be lost: name in keep what you want to look at.
//
// It is an error if Check finds a fault in the graph, or if keep holds a node of
// another graph. A run that does not follow the plan, as that of another kind of
// machine or of a graph that was changed, ends with an error.
func ShareMemory(g *gorgonia.ExprGraph, keep ...*gorgonia.Node) (*Memory, error) {
	if err := Check(g); err != nil {
		return nil, err
	}
	for i, n := range keep {
		if n == nil || n.Graph() != g {
			return nil, errors.Errorf("nodes: ShareMemory: node %d to keep is not in the graph", i)
		}
	}
	// The order in which gorgonia.Compile lets a graph run.
	sorted, err := gorgonia.Sort(g)
	if err != nil {
		return nil, errors.Wrap(err, "nodes: ShareMemory")
	}
	slices.Reverse(sorted)
	m := &Memory{graph: g, nodes: len(g.AllNodes()), arenas: make(map[tensor.Dtype]*arena)}
	l := newLifetimes(sorted)
	l.keep(keep...)
	for _, n := range sorted {
		if n.Op() == nil && n.Deriv() != nil {
			l.keep(n.Deriv())
		}
	}
	m.place(l)
	m.enlist(sorted)
	return m, nil
}

// place gives every buffer that is not kept a place in an arena.
func (m *Memory) place(l *lifetimes) {
	byType := make(map[tensor.Dtype][]*buffer)
	for _, b := range l.buffers {
		size := b.shape.TotalSize()
		if b.kept {
			m.kept += int64(size) * int64(b.dtype.Size())
			continue
		}
		byType[b.dtype] = append(byType[b.dtype], b)
	}
	for dt, bs := range byType {
		m.arenas[dt] = &arena{size: layOut(bs)}
	}
	for o, bs := range l.ofOp {
		offsets := make([]int, len(bs))
		for k, b := range bs {
			if offsets[k] = b.offset; b.kept {
				offsets[k] = -1
			}
			o.exe.share(m.arenas[b.dtype], offsets)
		}
	}
}

// enlist gives every operation its slot.
func (m *Memory) enlist(sorted gorgonia.Nodes) {
	i := 0
	for _, n := range sorted {
		if o, ok := n.Op().(*op); ok {
			o.slot = &slot{memory: m, index: i, node: n}
			i++
		}
	}
}

// Bytes returns the size of the results of this package's operations: of the
// memory that they share and of those that are kept. Results that are single
// numbers do not count.
func (m *Memory) Bytes() (shared, kept int64) {
	for dt, a := range m.arenas {
		shared += int64(a.size) * int64(dt.Size())
	}
	return shared, m.kept
}

// Watch shows f the value of each of this package's operations in the next runs,
// as soon as it is computed: to look at values that will be lost. nil ends it.
func (m *Memory) Watch(f func(n *gorgonia.Node, v gorgonia.Value)) { m.watch = f }

// slot is an operation's turn in a run.
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

// leave shows the result to whoever watches.
func (s *slot) leave(v gorgonia.Value) {
	if s != nil && s.memory.watch != nil {
		s.memory.watch(s.node, v)
	}
}

// arena is memory for buffers of one element type, made when the first of them is
// used.
type arena struct {
	size int // in elements
	made any
}

func space[F any](a *arena) []F {
	if a.made == nil {
		a.made = make([]F, a.size)
	}
	return a.made.([]F)
}

// layOut sets the offsets of the buffers so that those that are alive at one time
// do not overlap, and returns the size of all. The largest are placed first, each
// into the smallest gap that it fits.
func layOut(bs []*buffer) (size int) {
	order := slices.Clone(bs)
	slices.SortStableFunc(order, func(a, b *buffer) int { return cmp.Compare(b.shape.TotalSize(), a.shape.TotalSize()) })
	var placed []*buffer // by offset
	for _, b := range order {
		b.offset = gapFor(b, placed)
		at, _ := slices.BinarySearchFunc(placed, b, func(p, b *buffer) int { return cmp.Compare(p.offset, b.offset) })
		placed = slices.Insert(placed, at, b)
		size = max(size, b.end())
	}
	return size
}

// gapFor returns where b fits best between those of the placed buffers that are
// alive with it.
func gapFor(b *buffer, placed []*buffer) int {
	need := b.shape.TotalSize()
	best, bestRoom, free := -1, 0, 0
	for _, p := range placed {
		if p.last < b.first || b.last < p.first {
			continue
		}
		if room := p.offset - free; room >= need && (best < 0 || room < bestRoom) {
			best, bestRoom = free, room
		}
		free = max(free, p.end())
	}
	if best < 0 {
		return free
	}
	return best
}
