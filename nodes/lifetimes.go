package nodes

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// buffer is what one tensor of an operation's result needs of memory: space from
// the step in which it is written to the last in which it is read, both included.
type buffer struct {
	shape       tensor.Shape
	dtype       tensor.Dtype
	first, last int
	kept        bool // for good
	offset      int  // in the arena
}

// end is where in the arena the next buffer may begin.
func (b *buffer) end() int { return b.offset + b.shape.TotalSize() }

// lifetimes tells how long the results of a graph's operations are needed.
type lifetimes struct {
	buffers []*buffer
	ofOp    map[*op][]*buffer
	ofNode  map[*gorgonia.Node]*buffer // where a node's value lies, views included
}

// newLifetimes goes through a graph in the order in which it runs.
func newLifetimes(sorted gorgonia.Nodes) *lifetimes {
	l := &lifetimes{ofOp: make(map[*op][]*buffer), ofNode: make(map[*gorgonia.Node]*buffer)}
	owner := make(map[executor]*op)
	for i, n := range sorted {
		o, ours := n.Op().(*op)
		switch {
		case !ours:
			// One of Gorgonia's may hand its input on as its result.
			l.keep(inputs(n)...)
		case o.view != nil && o.view.of != nil:
			l.ofNode[n] = l.ofOp[owner[o.view.of]][o.view.piece]
		case o.view != nil:
			l.ofNode[n] = l.ofNode[child(n)]
		case !o.put: // which does not look at its input
			l.read(i, inputs(n)...)
			owner[o.exe] = o
			l.write(i, n, o)
		}
	}
	return l
}

// write begins the lives of an operation's results.
func (l *lifetimes) write(i int, n *gorgonia.Node, o *op) {
	for _, sh := range o.buffers() {
		b := &buffer{shape: sh, dtype: n.Dtype(), first: i, last: i}
		l.buffers = append(l.buffers, b)
		l.ofOp[o] = append(l.ofOp[o], b)
		if o.parts == nil {
			l.ofNode[n] = b
		}
	}
}

func (l *lifetimes) read(i int, ns ...*gorgonia.Node) {
	for _, n := range ns {
		if b := l.ofNode[n]; b != nil {
			b.last = i
		}
	}
}

func (l *lifetimes) keep(ns ...*gorgonia.Node) {
	for _, n := range ns {
		if b := l.ofNode[n]; b != nil {
			b.kept = true
		}
	}
}

func inputs(n *gorgonia.Node) (ns gorgonia.Nodes) {
	for it := n.Graph().From(n.ID()); it.Next(); {
		ns = append(ns, it.Node().(*gorgonia.Node))
	}
	return ns
}
